package operator

import (
	"github.com/millrace-streams/millrace/internal/store"
	"github.com/millrace-streams/millrace/serde"
)

// BufferedMigrations returns the migrations of buffered updates from those of the rows.
// values is the serde of the rows now.
func BufferedMigrations[V any](m *store.Migrations, values serde.Serde[V]) *store.Migrations {
	newest := BufferedValues(values)
	return store.MigrationsWithin(m, values, store.Container[Buffered]{
		Serde:   BufferedValues[any],
		Convert: Buffered.converted,
		// The buffer counts an update when it opens, and again when the row has been
		// written in the newest format. Both counts must agree.
		Finish: func(b Buffered) (Buffered, error) {
			data, err := newest.Append(nil, b)
			b.size = sizeOf(int64(len(data)), len(b.Headers))
			return b, err
		},
	})
}

// converted returns the update with its rows converted by f.
func (b Buffered) converted(f func(any) (any, error)) (Buffered, error) {
	for _, v := range []*Version{&b.Prior, &b.Old, &b.New} {
		if !v.There {
			continue
		}
		var err error
		if v.Value, err = f(v.Value); err != nil {
			return b, err
		}
	}
	return b, nil
}
