package graph

// Change is an update of one row of a table, with the row as it was before. The embedded
// Record is the row as it is now: NoValue says that the row is absent. Old is the row's
// value that was last sent: NoOld says that there was none, and Old is then the zero
// value.
//
// A node owns the Change it passes on, and reuses it. A receiver must not keep the
// pointer, nor change what it points to. It may keep Value and Old: no function that
// changes its argument in place is ever given one of them.
type Change[K, V any] struct {
	Record[K, V]

	Old   V
	NoOld bool
}

// ChangeReceiver is a node's instance, as its parent sees it, that needs the old rows of
// a table too. Otherwise it is like Receiver. An instance is either a Receiver or a
// ChangeReceiver. A table's node finds out which when it is made, and reads old rows only
// if one of its children is a ChangeReceiver.
type ChangeReceiver[K, V any] interface {
	ReceiveChange(c *Change[K, V]) error
}
