package store

import (
	"cmp"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/millrace-streams/millrace/internal/engine"
	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
)

// Migrations are the earlier formats of the values of a store, oldest first. Formats have
// numbers: the oldest one is 0, and each migration adds one. A nil *Migrations is that of
// a store that has format 0 only. Migrations are immutable.
type Migrations struct {
	gone  int // formats that no row has any more, so that nothing converts them
	steps []Migration
	of    reflect.Type // of the newest values; nil: those of the store
	wrong []error
}

// Migration converts values of one format into the next one.
type Migration struct {
	serde    any // of the old values
	old, new reflect.Type
	decode   func(data []byte) (any, error)
	convert  func(old any) (any, error)
	wrong    error
}

// NewMigration returns the migration from values of a serde to those that f returns. name
// is its name in the API.
func NewMigration[Old, New any](name string, old serde.Serde[Old], f func(Old) (New, error)) Migration {
	m := Migration{
		serde: old, old: reflect.TypeFor[Old](), new: reflect.TypeFor[New](),
		decode: func(data []byte) (any, error) { return old.Decode(data) },
		convert: func(v any) (any, error) {
			value, _ := v.(Old) // it is of the type; a nil interface has none
			return f(value)
		},
	}
	switch {
	case old == nil:
		m.wrong = fmt.Errorf("%s was given a nil serde: pass that of the values before the change", name)
	case f == nil:
		m.wrong = fmt.Errorf("%s was given a nil function: pass one that converts a value", name)
	}
	return m
}

// maxFormat is the largest number of a format.
const maxFormat = 255

// With adds a migration.
func (m *Migrations) With(step Migration) *Migrations {
	out := m.clone()
	out.steps = append(out.steps, step)
	return out
}

// WithGone says that no row has one of the first n formats any more.
func (m *Migrations) WithGone(n int) *Migrations {
	out := m.clone()
	switch {
	case n < 1 || n > maxFormat:
		out.wrong = append(out.wrong, fmt.Errorf("has Migrated(%d): pass the number of Migrate options that it stands for, 1 to %d", n, maxFormat))
	case out.gone > 0:
		out.wrong = append(out.wrong, errors.New("has Migrated twice: pass one that stands for all earlier formats"))
	case len(out.steps) > 0:
		out.wrong = append(out.wrong, errors.New("has Migrated after Migrate: put it first, because its formats are older"))
	default:
		out.gone = n
	}
	return out
}

func (m *Migrations) clone() *Migrations {
	if m == nil {
		return &Migrations{}
	}
	return &Migrations{m.gone, slices.Clone(m.steps), m.of, slices.Clone(m.wrong)}
}

// SetMigrations sets the migrations of a spec that nobody uses yet. It is for specs that
// a public package has made.
func SetMigrations(spec processor.StoreSpec, m *Migrations) {
	if d, ok := spec.(described); ok {
		d.Describe().Migrations = m
	}
}

// Newest returns the number of the format in which values are written.
func (m *Migrations) Newest() uint8 {
	if m == nil {
		return 0
	}
	return uint8(min(m.gone+len(m.steps), maxFormat))
}

// Converts reports whether rows of earlier formats are converted.
func (m *Migrations) Converts() bool { return m != nil && len(m.steps) > 0 }

// Formats returns what name returns for the serdes of the earlier formats, by their
// numbers. "" stands for a format that no row has any more.
func (m *Migrations) Formats(name func(values any) string) []string {
	if m == nil {
		return nil
	}
	out := make([]string, m.gone+len(m.steps))
	for i, step := range m.steps {
		if step.serde != nil { // nil is a mistake, which problems reports
			out[m.gone+i] = name(step.serde)
		}
	}
	return out
}

// convert returns the value in the newest format. A panic is for the caller.
func (m *Migrations) convert(format uint8, data []byte) (any, error) {
	first := int(format) - m.gone
	if first < 0 || first >= len(m.steps) {
		return nil, &engine.UnknownFormatError{Format: format, Newest: m.Newest()}
	}
	value, err := m.steps[first].decode(data)
	if err != nil {
		return nil, fmt.Errorf("decode it with %s: %w", serde.Name(m.steps[first].serde), err)
	}
	for _, step := range m.steps[first:] {
		if value, err = step.convert(value); err != nil {
			return nil, err
		}
	}
	return value, nil
}

// problems returns what is wrong with the migrations of a store with values of a type.
func (m *Migrations) problems(s *Spec) (errs []error) {
	wrong := func(err error) { errs = append(errs, fmt.Errorf("%s: %w", s, err)) }
	if !s.Kind.Migrates {
		wrong(fmt.Errorf("the values of a %s cannot be migrated: give the changed store another name", s.Kind.Noun))
		return errs
	}
	for _, err := range m.wrong {
		wrong(err)
	}
	if m.gone+len(m.steps) > maxFormat {
		wrong(fmt.Errorf("has %d migrations: at most %d formats can be told apart", m.gone+len(m.steps), maxFormat))
	}
	if m.gone > 0 && s.NoChangelog {
		wrong(errors.New("cannot have Migrated without a changelog, because nobody knows which disks have old rows: keep the Migrate options"))
	}
	for i, step := range m.steps {
		next, of := cmp.Or(m.of, s.valueType), "the values of the store have"
		if i+1 < len(m.steps) {
			next, of = m.steps[i+1].old, "the next migration takes"
		}
		switch {
		case step.wrong != nil:
			wrong(step.wrong)
		case step.new != next:
			wrong(fmt.Errorf("the migration from format %d returns values of type %v, but %s type %v: give the Migrate options in the order of their formats, oldest first", m.gone+i, step.new, of, next))
		}
	}
	return errs
}

// FormatHeader is the header of a changelog record that has the number of the format of
// its value, in one byte. A record without it has format 0.
const FormatHeader = "millrace-format"

// ParseFormat returns the number in a FormatHeader.
func ParseFormat(value []byte) (uint8, error) {
	if len(value) != 1 || value[0] == 0 {
		return 0, fmt.Errorf("its header %s is %v, and not the number of a format", FormatHeader, value)
	}
	return value[0], nil
}

// Headers returns the headers of the changelog records that are no deletions.
func (s *Spec) Headers() processor.Headers {
	format := s.Migrations.Newest()
	if format == 0 {
		return s.Kind.Headers
	}
	return append(slices.Clip(s.Kind.Headers), processor.Header{Key: FormatHeader, Value: []byte{format}})
}

// Current returns the value of a row in the newest format.
func (s *Spec) Current(key []byte, row engine.Stored) (data []byte, err error) {
	if row.Format == s.Migrations.Newest() {
		return row.Value, nil
	}
	value, err := engine.Convert(s.Name, s.converter(), s.Migrations.Newest(), key, row)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = s.wrap(fmt.Errorf("encode a converted value: %w", err))
		}
	}()
	defer engine.Guard(&err)
	return s.encode(value)
}

// converter returns the function that converts values of earlier formats, nil if there
// are none.
func (s *Spec) converter() func(uint8, []byte) (any, error) {
	if !s.Migrations.Converts() {
		return nil
	}
	return func(format uint8, data []byte) (any, error) {
		value, err := s.Migrations.convert(format, data)
		if err == nil && s.absent(value) {
			err = errAbsent
		}
		return value, err
	}
}

// errAbsent is the error about a migration that deletes a row.
var errAbsent = errors.New("the migration returned a value that counts as absent: a migration keeps every row, so delete rows before or after it")

// Always returns a function for [NewMigration] that never fails, nil for a nil f.
func Always[Old, New any](f func(Old) New) func(Old) (New, error) {
	if f == nil {
		return nil
	}
	return func(old Old) (New, error) { return f(old), nil }
}
