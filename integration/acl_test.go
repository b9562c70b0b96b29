package integration

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
)

// granted lets a user do what docs/security.md says that an application needs, and
// nothing else.
func (c *cluster) granted(t *testing.T, user, application, in, global, out string) {
	t.Helper()
	own := application + "-"
	for _, grant := range []struct {
		resource   *kadm.ACLBuilder
		pattern    kadm.ACLPattern
		operations []kadm.ACLOperation
	}{
		{kadm.NewACLs().Groups(application), kadm.ACLPatternLiteral, []kadm.ACLOperation{kadm.OpRead}},
		{kadm.NewACLs().TransactionalIDs(own), kadm.ACLPatternPrefixed, []kadm.ACLOperation{kadm.OpWrite}},
		{kadm.NewACLs().Topics(own), kadm.ACLPatternPrefixed,
			[]kadm.ACLOperation{kadm.OpCreate, kadm.OpRead, kadm.OpWrite, kadm.OpDelete, kadm.OpDescribeConfigs}},
		{kadm.NewACLs().Topics(in), kadm.ACLPatternLiteral, []kadm.ACLOperation{kadm.OpRead}},
		{kadm.NewACLs().Topics(global), kadm.ACLPatternLiteral, []kadm.ACLOperation{kadm.OpRead, kadm.OpDescribeConfigs}},
		{kadm.NewACLs().Topics(out), kadm.ACLPatternLiteral, []kadm.ACLOperation{kadm.OpWrite, kadm.OpDescribeConfigs}},
	} {
		acl := grant.resource.ResourcePatternType(grant.pattern).Allow("User:" + user).AllowHosts("*").Operations(grant.operations...)
		made, err := c.admin(t).CreateACLs(t.Context(), acl)
		if err != nil {
			t.Fatal(err)
		}
		for _, result := range made {
			if result.Err != nil {
				t.Fatalf("allow %v on %s: %v", result.Operation, result.Name, result.Err)
			}
		}
	}
}
