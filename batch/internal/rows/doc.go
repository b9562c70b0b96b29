// Package rows has the rows of results, and their way from the stores of a counting task
// to the outputs.
//
// A [Source] is a place where rows can be had: an aggregation, a window, or a filter or
// map behind one of them. A [Consumer] takes the rows of one batch from a source, in
// order of the bytes of their keys. The counting task scans a store once for all
// consumers that hang on it.
//
// On its way a row is [Lazy]: its key is decoded when a user function sees it. A row that
// is kept in memory is [Kept].
package rows
