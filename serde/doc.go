// Package serde turns keys and values into bytes and back: the [Serde] interface, serdes for the types that Kafka's own clients know,
// JSON, and the keys of windowed results.
//
// Variables such as [String] and [Int64] are serdes; functions such as [JSON] and [Nullable] make them. All are safe for use by
// several goroutines, keep no reference to the bytes they are given, and print as a short description of their format.
//
// # Formats
//
// A topic or a changelog written by a Java application with the corresponding serde is read as it is, and the reverse:
//
//	String          UTF-8 text                                 Serdes.String
//	Bytes           the bytes                                  Serdes.ByteArray
//	Int16           2 bytes, two's complement                  Serdes.Short
//	Int32           4 bytes, two's complement                  Serdes.Integer
//	Int64           8 bytes, two's complement                  Serdes.Long
//	Float32         4 bytes, IEEE 754                          Serdes.Float
//	Float64         8 bytes, IEEE 754                          Serdes.Double
//	Bool            1 byte, 0 or 1                             Serdes.Boolean
//	UUID            36 characters of text                      Serdes.UUID
//	TimeWindowed    key, 8 bytes start                         WindowedSerdes.TimeWindowedSerde
//	SessionWindowed key, 8 bytes end, 8 bytes start            WindowedSerdes.SessionWindowedSerde
//
// Every number is big endian. Window bounds are milliseconds since the Unix epoch. The formats are those of the serializers in
// org.apache.kafka.common.serialization and org.apache.kafka.streams.kstream, version 4.3.1, and are tested against bytes captured
// from them.
//
// # Keys
//
// Three things follow from the encoding of a key, so a serde of keys must encode equal keys as equal bytes.
//
// Identity: two keys are the same key when their bytes are. So with [JSON], two structs that differ only in fields that are not
// written are one key, and with [Float64], 0 and -0 are two.
//
// Partition: a key goes to the partition that [Partition] computes from its bytes, or from those that a [Partitioned] serde names. Two
// topics can be joined only if both encode the key alike: 7 as Int64 and 7 as Int32 are in different partitions.
//
// Order: ranges over a store are in order of the bytes, compared as unsigned numbers. For text in UTF-8 that is the order of code
// points. For integers it is the order of the numbers only as long as none is negative: -1 comes after every positive number. Windows
// of one key are in order of time. Do not expect the windows of a key to lie together in every range, because a longer key whose bytes
// start like a shorter one can come between two windows of the shorter; window stores account for that.
//
// # Absence
//
// Absent keys and values (tombstones) have no bytes and never reach Append or Decode. [Nullable] makes absence a value of the Go
// type. The zero value of a type whose serde is [Optional] must be one of those that stand for absence.
package serde
