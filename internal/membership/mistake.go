package membership

import "github.com/millrace-streams/millrace/internal/seam"

// live reports whether Identity follows the client into its next incarnation, while the
// handler still ends the tasks of the last one. That is the mistake LiveIdentity.
func (c *Classic) live() bool { return c.cfg.Mistake == seam.LiveIdentity }

// lose calls f, which ends the tasks of an incarnation. It does not wait for f if that is
// the mistake to make.
func (c *Classic) lose(f func()) {
	if c.live() {
		c.losing.Go(f)
		return
	}
	f()
}
