package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// maxLine is the largest length of a line in bytes, without its end. It is what fits into
// a Kafka record by default.
const maxLine = 1_000_000

// errLongLine is returned by lineReader.next for a line that is longer than maxLine.
var errLongLine = errors.New("line skipped: it is too long")

// lineReader splits its input into lines.
type lineReader struct {
	r        *bufio.Reader
	consumed int64 // bytes of the lines that were returned or skipped, with their ends
	skipping bool  // the rest of a line that is too long comes next
}

func newLineReader(r io.Reader) *lineReader {
	return &lineReader{r: bufio.NewReaderSize(r, 64<<10)}
}

// next returns the next line in a new slice, without its end, LF or CRLF. For a line that
// is too long it returns errLongLine once, without waiting for the end of the line. The
// next call continues after this line. The end of the input ends a line too; an error
// does not.
func (l *lineReader) next() ([]byte, error) {
	line := []byte{}
	for {
		part, err := l.r.ReadSlice('\n')
		if err != nil && err != bufio.ErrBufferFull && err != io.EOF {
			return nil, err
		}
		ended := err != bufio.ErrBufferFull
		if l.skipping {
			l.consumed += int64(len(part))
			l.skipping = !ended
			if err == io.EOF {
				return nil, io.EOF
			}
			continue
		}
		line = append(line, part...)
		content := bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		switch {
		case len(content) > maxLine:
			l.consumed += int64(len(line))
			l.skipping = !ended
			return nil, errLongLine
		case err == io.EOF && len(line) == 0:
			return nil, io.EOF
		case ended:
			l.consumed += int64(len(line))
			return content, nil
		}
	}
}
