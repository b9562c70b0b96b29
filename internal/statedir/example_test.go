package statedir_test

import (
	"fmt"
	"os"

	"github.com/millrace-streams/millrace/internal/statedir"
)

// A restarted process knows its identity, and which transactions it may have left open.
func ExampleOpen() {
	stateDir, err := os.MkdirTemp("", "example")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(stateDir)

	d, err := statedir.Open(stateDir, "tweets")
	if err != nil {
		fmt.Println(err)
		return
	}
	before := d.ProcessID()
	if err := d.RecordTransactionalID("tweets-0"); err != nil {
		fmt.Println(err)
	}
	d.Close()

	d, err = statedir.Open(stateDir, "tweets")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer d.Close()
	fmt.Println(d.ProcessID() == before, d.TransactionalIDs())
	// Output: true [tweets-0]
}
