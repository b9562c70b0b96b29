package jsonscan_test

import "strings"

// seeds are values that the type kinds has a field for.
var seeds = []string{
	`{"B":true,"I":-12,"I8":127,"i16":3,"U":7,"U8":255,"U64":18446744073709551615,"F":1.5e3,"F32":0.1,"S":"aé\n\u00e9"}`,
	`{"N":"n","Num":1.50,"A":[1,{"a":null,"b":[]},"c",true,-0.0],"By":"AP8=","L":[1,null,3],"LL":[["a"],[],null]}`,
	`{"LS":[{"x":1},{"y":["a","b"]},{"z":{"x":2}}],"Ar":[{"x":1},{"x":2},{"x":3}],"M":{"a":"1","b":"2","a":"3"}}`,
	`{"MN":{"a":1,"b":null},"MS":{"a":{"x":1},"b":{}},"MA":{"a":{"b":[1]}},"P":5,"PP":"x","PS":{"I":1,"PS":{"I":2}}}`,
	`{"T":"2018-10-10T20:19:24Z","PT":"2018-10-10T20:19:24.5+02:00","R":{"a": [1, 2]},"PR":[ 1 ],"LR":["a",null,1]}`,
	` { "I" : 1 , "PS" : null , "PP" : null, "R" : null, "T" : null, "B":null, "unknown":[{"a":"\"\\\/\b"}] } `,
	`{"i":1,"s":"folded","ı":2,"ſ":"long s","l":[],"by":"","m":{},"ar":[]}`,
}

// values are put where a value is expected.
var values = []string{
	`null`, `true`, `false`, `0`, `-0`, `-`, `+1`, `01`, `-01`, `00`, `.5`, `1.`, `1.e1`, `1e`, `1e+`, `1E-2`, `1e5`, `1e400`, `-1e400`, `1e-400`,
	`127`, `128`, `-128`, `-129`, `255`, `256`, `32768`, `4294967296`, `9223372036854775807`, `9223372036854775808`,
	`-9223372036854775808`, `-9223372036854775809`, `18446744073709551615`, `18446744073709551616`,
	`123456789012345`, `1234567890123456`, `12345678901234567890123`, `16777217`, `288230393331580929`, `999999999999999999`, `-999999999999999999`, `16777219`, `3.4028236e38`, `0.1`, `1e23`, `5e-324`,
	`9007199254740993`, `1.0`, `Infinity`, `NaN`, `0x10`, `1_000`, `1 2`,
	`""`, `"a"`, `"a`, `a"`, `'a'`, `"\"`, `"\x"`, `"\'"`, `"\u"`, `"\u12"`, `"\ug234"`, `"\u1g34"`, `"\u12g4"`, `"\u123g"`, `"\u0000"`, `"\ud83d\ude00"`, `"\ud83d"`, `"\ude00"`,
	`"\ud83d\ud83d\ude00"`, `"\ud83dx"`, `"\ud83d\n"`, `"\ud83d\u0041"`, `"\uD83D\uDE00"`, `"\udbff\udfff"`, `"\ufffd"`, `"\b\f\n\r\t\/\\\""`,
	"\"\x00\"", "\"\x1f\"", "\"\x20\"", "\"\x7f\"", "\"\n\"", "\"\xff\"", "\"\xc3\"", "\"\xc3\x28\"", "\"\xed\xa0\x80\"", "\"\xf0\x9f\x98\x80\"",
	"\"\xf4\x90\x80\x80\"", "\"abcdefg\xff\"", "\"abcdefgh\xff\\u0041\"", "\"\\u0041\xc0\xaf\"", "\"\u2028\"",
	`"12345678"`, `"1234567\"9"`, `"123456789012345\\"`, `"\\\\\\\\"`, `"AP8="`, `"AP8"`, `"AP8= "`, `"AP\n8="`, `"@@"`, `"1"`, `"null"`, `"true"`,
	`"2018-10-10T20:19:24Z"`, `"2018-10-10"`, `"2018-10-10T25:00:00Z"`,
	`{}`, `{ }`, `{"x":1}`, `{"x":1,}`, `{,}`, `{"x"}`, `{"x":}`, `{"x" 1}`, `{x:1}`, `{"x":1 "y":2}`, `{"x":1}}`, `{"x":1`, `{`, `{"x`, `{"x"`, `{"x":`,
	`{"x":1,"x":2}`, `{"y":["a"],"y":["b","c"]}`, `{"y":["a"],"y":null,"y":["c"]}`, `{"z":{"x":1},"z":{"y":[]}}`, `{"z":{"x":1},"z":null}`,
	`{"x":1,"X":2}`, `{"X":2,"x":1}`, `{"\u0078":5}`, "{\"x\xff\":1}", `{"":1}`, `{"a":1,"b":2}`, `{"a":null}`, `{"a":"b"}`, `{"a":{"x":1},"a":{}}`,
	`[]`, `[ ]`, `[1]`, `[1,]`, `[,]`, `[,1]`, `[1 2]`, `[1`, `[`, `]`, `[1]]`, `[1}`, `[null]`, `[1,2,3]`, `[256]`, `["a"]`, `["a",1]`, `[[]]`, `[{"x":1},{"x":2},{"x":3}]`,
	`nul`, `nulll`, `Null`, `tru`, `truee`, `fals`, `n`, `t`, `f`, ``, ` `, "\x00", "\ufeff1", `//`, `1//`, "1\x00", "\u00a01", "\v1",
}

// keys are the names of all fields, and others that are nearly a name.
var keys = []string{
	"B", "I", "I8", "i16", "I16", "U", "U8", "U64", "F", "F32", "S", "N", "Num", "A", "By", "L", "LL", "LS", "Ar", "M", "MN", "MS", "MA", "P", "PP",
	"PS", "T", "PT", "R", "PR", "LR", "x", "y", "z", "id", "ID", "text", "user", "entities", "urls", "retweeted_status", "lang",
	"Name", "name", "tag", "TAG", "Tag", "k", "K", "\u212a", "Deep", "Both", "Equal", "Far", "Made", "Skip", "other", "Outer", "inner", "deeper",
	"a name that is much longer than others", "A NAME that is much longer than others", "a name that is much longer than other\u017f",
	"Ä", "ä", "ÄÄ", "été", "ÉTÉ", "\u017f", `\u0053`, `\u212A`, "\xff", "",
}

// nasty returns each value alone, between white space, in an array, for each key, and
// twice for each key. It returns deep nesting too.
func nasty() []string {
	var all []string
	for _, v := range values {
		all = append(all, v, " \t\r\n"+v+" \t\r\n", "["+v+"]", "["+v+",null]", v+v)
		for _, k := range keys {
			all = append(all,
				`{"`+k+`":`+v+`}`,
				`{"`+k+`":`+v+`,"`+k+`":[{"x":9}]}`,
				`{"`+k+`":{"x":3,"q":{},"y":["r"]},"`+k+`":`+v+`}`,
				`{"`+k+`":["q"],"`+k+`":null, "`+k+`" : `+v+` , "z":{}}`)
		}
	}
	for _, depth := range []int{499, 500, 501, 9_999, 10_000, 10_001} {
		all = append(all,
			strings.Repeat("[", depth)+strings.Repeat("]", depth),
			strings.Repeat("[", depth),
			strings.Repeat(`{"z":`, depth)+"null"+strings.Repeat("}", depth),
			strings.Repeat(`{"q":`, depth)+"1"+strings.Repeat("}", depth))
	}
	return append(all, seeds...)
}
