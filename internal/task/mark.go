package task

import "hash/fnv"

// Mark stands for a topic in the metadata of its offsets. An offset of a topic that was
// deleted may stay with the group, or be committed after the topic was created again. The
// mark then shows that it belongs to the former topic. 0 means unknown.
//
// The upper half stands for the cluster, the lower half for the topic's ID. Tools that
// copy a group to another cluster translate its offsets and copy their metadata. The
// topics have other IDs there, but the offsets are valid.
type Mark int64

// markName is the name of the mark among the values of the metadata. No node can have it.
const markName = "#topic"

// MarkOf returns the mark of a topic, 0 if its ID is unknown.
func MarkOf(cluster string, topicID [16]byte) Mark {
	if topicID == [16]byte{} {
		return 0
	}
	return Mark(uint64(hash32([]byte(cluster)))<<32 | uint64(hash32(topicID[:])))
}

func hash32(b []byte) uint32 {
	h := fnv.New32a()
	h.Write(b)
	return h.Sum32()
}

// Outdates reports whether a commit with these metadata was for another topic of the same
// cluster.
func (m Mark) Outdates(text string) bool {
	was, err := decodeMetadata(text)
	return err == nil && m != 0 && was.mark != 0 && was.mark != m && was.mark>>32 == m>>32
}
