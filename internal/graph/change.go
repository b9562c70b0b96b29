package graph

// Change is an update of one row of a table, together with the earlier row. The embedded
// Record is the row as it is now; NoValue says that the row is absent. Old is the value
// of the row that was sent last. NoOld says that there was none; Old is then the zero
// value.
//
// A node owns the Change it passes on, and reuses it. A receiver must not keep the
// pointer, nor change what it points to. It may keep Value and Old, because functions
// that change their argument in place never get one of them.
type Change[K, V any] struct {
	Record[K, V]

	Old   V
	NoOld bool
}

// ChangeReceiver is a node's instance that also needs the old rows of a table. The rest
// is as for Receiver. An instance is either a Receiver or a ChangeReceiver. The node of a
// table checks this when it is made, and reads old rows only if one of its children is a
// ChangeReceiver.
type ChangeReceiver[K, V any] interface {
	ReceiveChange(c *Change[K, V]) error
}
