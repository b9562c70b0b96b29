// Package serde encodes and decodes keys and values. It has the [Serde] interface, serdes
// for the types that Kafka's own clients support, JSON, and serdes for the keys of
// windowed results.
//
// Variables such as [String] and [Int64] are serdes. Functions such as [JSON] and
// [Nullable] return serdes. ([JSONWith] uses a codec of the caller.) All serdes of this
// package
//
//   - are safe for use by several goroutines;
//   - keep no reference to the bytes that they are given;
//   - have a String method that describes their format in a few words.
//
// # Formats
//
// The formats are compatible with Java. A serde reads what the corresponding Java serde
// wrote, and the reverse:
//
//	String          UTF-8 text                      Serdes.String
//	Bytes           the bytes                       Serdes.ByteArray
//	Int16           2 bytes, two's complement       Serdes.Short
//	Int32           4 bytes, two's complement       Serdes.Integer
//	Int64           8 bytes, two's complement       Serdes.Long
//	Float32         4 bytes, IEEE 754               Serdes.Float
//	Float64         8 bytes, IEEE 754               Serdes.Double
//	Bool            1 byte, 0 or 1                  Serdes.Boolean
//	UUID            36 characters of text           Serdes.UUID
//	TimeWindowed    key, 8 bytes start              WindowedSerdes.TimeWindowedSerde
//	SessionWindowed key, 8 bytes end, 8 bytes start WindowedSerdes.SessionWindowedSerde
//
// Every number is big endian. Window bounds are milliseconds since the Unix epoch. The
// formats are those of the serializers in org.apache.kafka.common.serialization and
// org.apache.kafka.streams.kstream, version 4.3.1. They are tested against bytes captured
// from these serializers.
//
// # Keys
//
// A serde for keys must encode equal keys as equal bytes, because the encoding determines
// three things.
//
// Identity: two keys are the same key if their bytes are equal. With [JSON], two structs
// that differ only in fields that are not encoded are the same key. With [Float64], 0 and
// -0 are different keys.
//
// Partition: [Partition] computes the partition of a key from its bytes, or from the
// bytes that a [Partitioned] serde returns. Two topics can be joined only if both encode
// the key in the same way. For example, 7 as Int64 and 7 as Int32 go to different
// partitions.
//
// Order: a range over a store is ordered by the encoded bytes, compared as unsigned
// numbers.
//
//   - Text in UTF-8 is ordered by code point.
//   - Integers are in numerical order only if none is negative: -1 comes after every
//     positive number.
//   - The windows of one key are in order of time. In a range over several keys, the
//     windows of one key need not be adjacent. A longer key can begin with the bytes of a
//     shorter key, and then come between two windows of the shorter one. Window stores
//     account for that.
//
// # Absence
//
// An absent key or value (a tombstone) has no bytes. It never reaches Append or Decode.
// [Nullable] makes absence a value of the Go type. If a serde is [Optional], the zero
// value of its type must stand for absence.
package serde
