package processor

// Store is what all state stores have in common. The typed stores of the packages state,
// windowstore, sessionstore and versionedstore implement it.
type Store interface {
	Name() string
}

// StoreSpec describes a store: its name, its serdes, and how it is kept. The packages
// state, windowstore, sessionstore and versionedstore make specs, and topology.Process
// takes them. If two processors of one sub-topology are given the same spec, they share
// one store.
type StoreSpec interface {
	StoreName() string
}
