package main

import (
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/millrace-streams/millrace/examples/internal/exampletest"
)

// The program prints the counts of typed words until it is interrupted.
func TestMain_prints(t *testing.T) {
	in, typed, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	printed, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	stdin, stdout := os.Stdin, os.Stdout
	t.Cleanup(func() { os.Stdin, os.Stdout = stdin, stdout })
	os.Stdin, os.Stdout = in, out
	screen := exampletest.NewScreen()
	go io.Copy(screen, printed)
	ended := make(chan struct{})
	go func() { main(); close(ended) }()

	if _, err := io.WriteString(typed, "to be or not to be\n"); err != nil {
		t.Fatal(err)
	}
	typed.Close()
	screen.WaitFor(t, "counts", func(text string) bool {
		return strings.Contains(text, "(to,2)\n") && strings.Contains(text, "(not,1)\n")
	})
	exampletest.Interrupt(t)
	select {
	case <-ended:
	case <-time.After(exampletest.Patience):
		t.Fatal("the program goes on after an interrupt")
	}
	out.Close()
}
