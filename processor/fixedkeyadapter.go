package processor

// FixedKeys returns p as a Processor. Only Millrace calls it.
func FixedKeys[K, V, V2 any](p FixedKeyProcessor[K, V, V2]) Processor[K, V, K, V2] {
	adapter := fixedKeys[K, V, V2]{p}
	if f, ok := p.(FixedKeyFlusher[K, V2]); ok {
		return flushedFixedKeys[K, V, V2]{adapter, f}
	}
	return adapter
}

// fixedKeys is a FixedKeyProcessor as a Processor.
type fixedKeys[K, V, V2 any] struct{ p FixedKeyProcessor[K, V, V2] }

func (a fixedKeys[K, V, V2]) Init(ctx Context[K, V2]) error {
	return a.p.Init(FixedKeyContext[K, V2]{ctx})
}

func (a fixedKeys[K, V, V2]) Process(ctx Context[K, V2], r Record[K, V]) error {
	return a.p.Process(FixedKeyContext[K, V2]{ctx}, FixedKeyRecord[K, V]{r, true})
}

// Patient implements [Patient].
func (a fixedKeys[K, V, V2]) Patient() bool {
	patient, ok := a.p.(Patient)
	return ok && patient.Patient()
}

// Close implements [Closer].
func (a fixedKeys[K, V, V2]) Close() error {
	if c, ok := a.p.(Closer); ok {
		return c.Close()
	}
	return nil
}

// flushedFixedKeys is a fixedKeys whose processor is a FixedKeyFlusher.
type flushedFixedKeys[K, V, V2 any] struct {
	fixedKeys[K, V, V2]
	flusher FixedKeyFlusher[K, V2]
}

func (a flushedFixedKeys[K, V, V2]) Flush(ctx Context[K, V2]) error {
	return a.flusher.Flush(FixedKeyContext[K, V2]{ctx})
}
