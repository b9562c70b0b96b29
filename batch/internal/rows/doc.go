// Package rows has the rows of results, and their way from the stores of a counting task
// to the outputs.
//
// A [Source] yields rows: it is an aggregation, a window, or a filter or map behind one
// of them. A [Consumer] takes the rows of one batch from a source, in order of the bytes
// of their keys. The counting task scans a store once for all of its consumers.
//
// Between a source and a consumer a row is [Lazy]: its key is decoded only if a user
// function needs it. A row that is kept in memory is [Kept].
package rows
