package store

import (
	"fmt"

	"github.com/millrace-streams/millrace/internal/engine"
)

// versionLog has the records that the next Flush of a versioned store logs in addition to
// the changed newest versions: first versions that are no longer the newest, then newest
// versions once more.
type versionLog struct {
	spec    *Spec
	env     engine.Env
	pending []loggedVersion
	again   []string         // keys
	deaths  map[string]int64 // of those keys; when the key was deleted, -1 if it was not
	held    int64            // bytes of all this
}

// loggedVersion is a record for the changelog.
type loggedVersion struct {
	key    string
	value  engine.Undecoded // without Data: a deletion
	at     int64
	origin engine.Origin
}

// atOnce reports whether each version is logged when it is put.
func (l *versionLog) atOnce() bool { return l.env.EveryUpdate }

// pend keeps a version until the next Flush.
func (l *versionLog) pend(v loggedVersion) {
	if l.env.Log == nil {
		return
	}
	l.pending = append(l.pending, v)
	l.hold(int64(len(v.key) + len(v.value.Data)))
}

// repeat logs the newest version of a key once more at the next Flush. died is when the
// key was deleted, if it has no newest version.
func (l *versionLog) repeat(key string, died int64) {
	if l.env.Log == nil {
		return
	}
	if _, known := l.deaths[key]; !known {
		l.again = append(l.again, key)
		l.hold(int64(2 * len(key)))
	}
	l.deaths[key] = died
}

func (l *versionLog) hold(n int64) {
	l.held += n
	l.env.Budget.Hold(n)
}

// log logs versions now.
func (l *versionLog) log(versions ...loggedVersion) error {
	if l.env.Log == nil {
		return nil
	}
	for _, v := range versions {
		if err := l.env.Log([]byte(v.key), v.value.Data, v.at, &v.origin); err != nil {
			return l.spec.wrap(fmt.Errorf("write to the changelog: %w", err))
		}
	}
	return nil
}

// flush logs everything, and empties the log. newest returns the record of the newest
// version of a key; changed says that the key has changed, so that it is logged as a
// changed row.
func (l *versionLog) flush(newest func(key string, died int64) (v loggedVersion, changed bool, err error)) error {
	if err := l.log(l.pending...); err != nil {
		return err
	}
	for _, key := range l.again {
		v, changed, err := newest(key, l.deaths[key])
		if err == nil && !changed {
			err = l.log(v)
		}
		if err != nil {
			return err
		}
	}
	clear(l.pending)
	clear(l.deaths)
	l.pending, l.again = l.pending[:0], l.again[:0]
	l.hold(-l.held)
	return nil
}
