package state

// useOrAdd makes a row of a bounded store the most recently used one. For a new row it
// makes room first.
func (s *keyValue[K, V]) useOrAdd(key []byte) error {
	if s.used.Use(key) {
		return nil
	}
	// The deletion of another row encodes no key, so key stays valid.
	for {
		old, ok := s.used.Surplus()
		if !ok {
			break
		}
		if err := s.evict(old); err != nil {
			return err
		}
	}
	s.used.Add(key)
	return nil
}

// evict deletes the least recently used row.
func (s *keyValue[K, V]) evict(old []byte) error {
	k, err := s.core.Decode(old)
	if err != nil {
		return err
	}
	var none V
	if _, err := s.core.Cells().Put(old, k, none, false, s.core.Env().Now(), s.user.Origin()); err != nil {
		return err
	}
	s.used.Remove(old)
	return nil
}
