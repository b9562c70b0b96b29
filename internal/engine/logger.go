package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"

	"github.com/cockroachdb/pebble/v2"
)

// pebbleLogger forwards Pebble's log. Routine messages (flushes, compactions) become
// debug messages.
type pebbleLogger struct {
	log *slog.Logger
	dir string // of the database
}

// Infof formats nothing if nobody reads it: Pebble has much to say when it opens.
func (l pebbleLogger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + message(format, args))
	}
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + message(format, args))
}

// Fatalf is called if the disk fails in a place where Pebble cannot return an error, or
// if a file has lost its end. Pebble does not expect it to return.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	text := fmt.Sprintf("the state in %s cannot be used any more (if this happens again, remove the directory; the state is then restored from Kafka): %s", l.dir, message(format, args))
	l.log.Error("pebble: " + text)
	panic("millrace: " + text)
}

// corrupted notes that a file is damaged. The read that has found it returns an error.
func (l pebbleLogger) corrupted(info pebble.DataCorruptionInfo) {
	l.log.Error("the local state is damaged", "file", info.Path, "error", info.Details)
}

// damaged adds to an error of a damaged file what to do.
func damaged(err error) error {
	info := pebble.ExtractDataCorruptionInfo(err)
	if info == nil {
		return err
	}
	return fmt.Errorf("the file %s is damaged (remove its directory; the state is then restored from Kafka): %w", info.Path, info.Details)
}

func message(format string, args []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, args...))
}
