package main

import (
	"strconv"

	"github.com/millrace-streams/millrace/processor"
	"github.com/millrace-streams/millrace/serde"
	"github.com/millrace-streams/millrace/topology"
)

// skipping is the error policy with -table: rows that cannot be decoded are left out.
var skipping = processor.ErrorPolicy{Decode: processor.Skip}

// asking joins the questions of -in with the rows of -table. "-" stands for a row that is
// not there.
func (o options) asking(b *topology.Builder) {
	var opts []topology.SourceTableOption
	if o.sourceAsChangelog {
		opts = append(opts, topology.SourceAsChangelog())
	}
	rows := topology.SourceTable(b, o.table, serde.String, serde.Int64, opts...)
	topology.LeftJoin(topology.Source(b, o.in, serde.String, serde.String), rows, func(question string, row int64, ok bool) string {
		if !ok {
			return question + " -"
		}
		return question + " " + strconv.FormatInt(row, 10)
	}, serde.String).To(o.out)
}
