package conformance

import (
	"github.com/millrace-streams/millrace/topology"
)

// suppress makes a table that holds updates back.
func (b *builder) suppress(o op) error {
	if err := o.knows("name until limit buffer"); err != nil {
		return err
	}
	t := b.tables[o.text("from")]
	if t == nil {
		return notYet("suppress of a table that Millrace does not have")
	}
	s, opts, err := suppressionOf(o)
	if err != nil {
		return err
	}
	name := o.text("name")
	if name == "" {
		name = b.names.next("KTABLE-SUPPRESS-STATE-STORE", o.id())
	} else {
		b.names.call(name+"-store", name)
	}
	b.tables[o.id()] = t.suppress(name, s, opts)
	b.built.buffers[internalTopic(name, "changelog")] = true
	return nil
}

func suppressionOf(o op) (s topology.Suppression, opts tableOptions, err error) {
	switch until := o.text("until"); until {
	case "windowClose":
		s = topology.UntilClosed()
	case "timeLimit":
		s = topology.UntilTimeLimit(o.duration("limit"))
	default:
		return s, opts, notYet("suppress until %s", until)
	}
	buffer := o.child("buffer")
	if err := buffer.only("the buffer of suppress", "maxRecords maxBytes full loggingDisabled"); err != nil {
		return s, opts, err
	}
	if n, ok := buffer.number("maxRecords"); ok {
		s = s.MaxRecords(n)
	}
	if n, ok := buffer.number("maxBytes"); ok {
		s = s.MaxBytes(n)
	}
	switch full := buffer.text("full"); full {
	case "shutdown":
		s = s.FailWhenFull()
	case "", "emit":
	default:
		return s, opts, notYet("a buffer that does %s when it is full", full)
	}
	if buffer.flag("loggingDisabled") {
		opts.all = append(opts.all, topology.WithoutChangelog())
	}
	return s, opts, nil
}
