package jsonscan_test

import (
	"math/rand/v2"
	"testing"

	"github.com/millrace-streams/millrace/internal/seedtest"
)

// parts are what mutations put into an input.
func parts() []string {
	all := append(append([]string{}, values...), `{`, `}`, `[`, `]`, `,`, `:`, `"`, `\`, `\u`, ` `, "\n", `e`, `.`, `-`, "\xff", "\x01")
	for _, k := range keys {
		all = append(all, `"`+k+`":`, `,"`+k+`":`)
	}
	return all
}

// mutator makes inputs that are nearly valid.
type mutator struct {
	rand  *rand.Rand
	parts []string
}

func (m mutator) mutate(data []byte) []byte {
	out := append([]byte{}, data...)
	for range 1 + m.rand.IntN(3) {
		at := m.rand.IntN(len(out) + 1)
		to := at + m.rand.IntN(min(len(out)-at, 12)+1)
		switch m.rand.IntN(5) {
		case 0: // another byte
			if at < len(out) {
				out[at] ^= 1 << m.rand.IntN(8)
			}
		case 1: // without a part
			out = append(out[:at], out[to:]...)
		case 2: // a part twice
			out = append(out[:to], append(append([]byte{}, out[at:to]...), out[to:]...)...)
		case 3: // truncated
			if m.rand.IntN(8) == 0 {
				out = out[:at]
			}
		default: // something else in place of a part
			part := m.parts[m.rand.IntN(len(m.parts))]
			out = append(out[:at], append([]byte(part), out[to:]...)...)
		}
	}
	return out
}

func TestMutations(t *testing.T) {
	t.Parallel()
	all, inputs := parts(), append(append([]string{line, short}, seeds...), tweets()...)
	seedtest.Run(t, 30, func(t *testing.T, seed uint64) {
		const n = 5000
		m := mutator{rand: rand.New(rand.NewPCG(seed, 0)), parts: all}
		sure := 0
		for i := range n {
			input := m.mutate([]byte(inputs[i%len(inputs)]))
			if shapes[m.rand.IntN(len(shapes))].compare(t, input) {
				sure++
			}
		}
		if sure < n/50 {
			t.Errorf("sure about %d of %d inputs only", sure, n)
		}
	})
}

// tweets returns tweets with other characters than line has.
func tweets() []string {
	return []string{
		`{"created_at":"Wed Oct 10 20:19:24 +0000 2018","id":1050118621198921729,"text":"\u30b9\u30c8\u30ea\u30fc\u30e0 \ud83d\ude80","lang":"ja",` +
			`"user":{"id":9007199254740993,"screen_name":"kafka_jp","followers_count":0,"verified":false},"retweeted_status":{"id":1,"text":"a","user":{"id":2}},` +
			`"entities":{"urls":[],"hashtags":[],"user_mentions":[{"screen_name":"rmoff","indices":[3,9]}]}}`,
		`{"id":3,"text":"日本語 – naïve “quotes” 🚀","lang":"und","user":null,"entities":{"urls":[{"url":"u","expanded_url":"http://a.b/c?d=e&f"},null,{}]},"geo":{"type":"Point","coordinates":[52.5,-13.4e0]}}`,
		`{"delete":{"status":{"id":1234,"id_str":"1234","user_id":3,"user_id_str":"3"},"timestamp_ms":"1539202764000"}}`,
		`{"limit":{"track":1223,"timestamp_ms":"1539202764000"}}`,
	}
}

func fuzz(f *testing.F, c comparer) {
	f.Helper()
	for _, input := range append(append([]string{line, short}, seeds...), tweets()...) {
		f.Add([]byte(input))
	}
	for _, v := range values {
		f.Add([]byte(v))
	}
	f.Fuzz(func(t *testing.T, data []byte) { c.compare(t, data) })
}

func FuzzTweet(f *testing.F)  { fuzz(f, compare[whole]()) }
func FuzzKinds(f *testing.F)  { fuzz(f, compare[kinds]()) }
func FuzzEmbeds(f *testing.F) { fuzz(f, compare[embeds]()) }
func FuzzAny(f *testing.F)    { fuzz(f, compare[any]()) }
