// Package store has what all kinds of state stores share, and the table of the kinds.
//
// A [Kind] is one value: its name, the layout of its rows, the kind of its changelog. A
// [Spec] describes one store: its kind, its serdes, its options. The public packages
// (state, windowstore, sessionstore, versionedstore) add the typed methods on top of
// [Typed] and [Core]. Code that depends on the kind of a store reads Spec.Kind.
//
// # A new kind of store
//
//  1. A public package with the typed store; its spec embeds [Typed], its instances
//     [Core].
//  2. A file here with the layout of the rows and the Kind.
//  3. One line in the table of kinds ([Kinds]).
//  4. A conformance suite that every implementation of the store passes, such as
//     state/statetest and windowstore/windowstoretest.
//
// Restoring, changelog topics, queries, the durable record of stores and the check of a
// changed topology follow from the Kind.
package store
