package engine

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// pebbleLogger forwards Pebble's log. Routine messages (flushes, compactions) become
// debug messages.
type pebbleLogger struct{ log *slog.Logger }

// Infof formats nothing if nobody reads it: Pebble has much to say when it opens.
func (l pebbleLogger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble: " + message(format, args))
	}
}

func (l pebbleLogger) Errorf(format string, args ...any) {
	l.log.Error("pebble: " + message(format, args))
}

// Fatalf is called if the data on disk is not what was written there. Pebble does not
// expect it to return.
func (l pebbleLogger) Fatalf(format string, args ...any) {
	text := message(format, args)
	l.log.Error("pebble: cannot continue: " + text)
	panic("millrace: state database: " + text)
}

func message(format string, args []any) string {
	return strings.TrimSpace(fmt.Sprintf(format, args...))
}
