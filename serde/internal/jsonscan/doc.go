// Package jsonscan decodes JSON into Go values with the results of encoding/json, but in
// one pass, and without work for parts of the input that the Go type does not have.
//
// # What it does
//
// [For] makes a plan for a type once. [Decoder.Decode] then reads the input a single
// time, from left to right. It checks every byte, and sets the fields that the plan
// knows. The values of unknown fields are checked and skipped.
//
// Decode has two results only: the value that json.Unmarshal would store into a zero
// value, or "in doubt". If Decode is in doubt, the caller runs json.Unmarshal, which
// gives either the value or the error. So this package has no errors of its own, and it
// leaves rare cases to encoding/json. A doubt costs time only.
//
// # Rules
//
// The rules are those of encoding/json as of Go 1.26, read from its source and compared
// with it by the tests and fuzz targets of this package:
//
//   - The grammar is RFC 8259. Numbers have no leading zero or plus sign, and strings
//     have no control characters.
//   - Bytes that are not UTF-8, and halves of surrogate pairs, become U+FFFD.
//   - Field names, tags, and embedded structs follow the rules of json.Marshal. A key
//     sets the field with exactly this name, or else the first field whose name is
//     equal under Unicode case folding.
//   - The last of several equal keys counts.
//   - null sets pointers, maps, slices and interfaces to nil, and leaves other values as
//     they are.
//   - A number in an interface becomes a float64. A string in a slice of bytes is base64.
//   - The elements that an array of Go has no room for are skipped. If the input has
//     fewer, the others are zero.
//
// # Doubts
//
// There is no plan, so every value is in doubt, for a type that has one of these inside:
//
//   - UnmarshalJSON or UnmarshalText methods, except those of time.Time and
//     json.RawMessage. Decode could otherwise call a method twice for one input.
//   - An option in a tag other than omitempty and omitzero.
//   - A map whose keys are not strings, or an interface with methods.
//   - A kind that JSON does not have: channels, functions, complex numbers, uintptr.
//   - A struct that embeds the same type twice, a tag on an embedded field whose type is
//     not exported, or unusual characters in the name of a tag.
//
// Decode is in doubt about these inputs:
//
//   - Everything that encoding/json refuses.
//   - A value of the wrong kind, or a number that does not fit.
//   - A second value for a slice that has one. encoding/json decodes into the elements of
//     the first one.
//   - More than 500 nested arrays and objects. (encoding/json allows 10,000.)
//
// # Memory
//
// A value has no reference to the input. Each string, slice, map and pointer has memory
// of its own, so a short string does not keep the rest of the input alive. Values are
// set through package reflect, without unsafe.
package jsonscan
