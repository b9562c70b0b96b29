package batch

// apply applies options. One that is nil changes nothing, as in package topology.
func apply[T any, O ~func(*T)](to *T, opts []O) {
	for _, opt := range opts {
		if opt != nil {
			opt(to)
		}
	}
}
