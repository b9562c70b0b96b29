package wire

// Route chooses the partitions of a message: all of them for a marker, and that of its
// key (nil) for any other message.
func Route(r Record, n int32) []int32 {
	if r.Value.Kind != Marker {
		return nil
	}
	return AllPartitions(n)
}

// AllPartitions returns the partitions 0 to n-1.
func AllPartitions(n int32) []int32 {
	all := make([]int32, n)
	for i := range all {
		all[i] = int32(i)
	}
	return all
}
