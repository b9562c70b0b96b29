package restore

import (
	"errors"
	"fmt"

	"github.com/twmb/franz-go/pkg/kadm"
)

var (
	// ErrOutOfRange is wrapped by every OutOfRangeError.
	ErrOutOfRange = errors.New("position out of range")
	// ErrRecreated is wrapped by every RecreatedError.
	ErrRecreated = errors.New("topic was deleted and created again")
	// ErrMissing is wrapped by every MissingError.
	ErrMissing = errors.New("changelog does not exist")
)

// TopicID distinguishes a topic from an earlier one with the same name. The zero value is
// unknown.
type TopicID = kadm.TopicID

// OutOfRangeError says that a partition cannot be read from position From: it begins at
// Start and ends before End.
type OutOfRangeError struct {
	Topic     string
	Partition int32
	From      int64
	Start     int64
	End       int64
}

func (e *OutOfRangeError) Error() string {
	return fmt.Sprintf("changelog %q partition %d: %v: at %d, the log has [%d, %d)", e.Topic, e.Partition, ErrOutOfRange, e.From, e.Start, e.End)
}

func (e *OutOfRangeError) Unwrap() error { return ErrOutOfRange }

// RecreatedError says that the topic is not the one to which the position belongs.
type RecreatedError struct {
	Topic     string
	Was, Is   TopicID
	Partition int32
}

func (e *RecreatedError) Error() string {
	return fmt.Sprintf("changelog %q partition %d: %v: ID %v, was %v", e.Topic, e.Partition, ErrRecreated, e.Is, e.Was)
}

func (e *RecreatedError) Unwrap() error { return ErrRecreated }

// MissingError says that the topic or the partition does not exist.
type MissingError struct {
	Topic     string
	Partition int32
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("changelog %q partition %d: %v", e.Topic, e.Partition, ErrMissing)
}

func (e *MissingError) Unwrap() error { return ErrMissing }
