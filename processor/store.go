package processor

// Store is what all state stores have in common. The typed stores of the packages state
// and windowstore are Stores.
type Store interface {
	Name() string
}

// StoreSpec describes a store: its name, its serdes, and how it is kept. Specs are made
// by the packages state and windowstore and passed to the topology; the same spec given
// to two processors of one sub-topology is one store that they share.
type StoreSpec interface {
	StoreName() string
}
