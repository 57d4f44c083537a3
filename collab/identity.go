package collab

import (
	"context"
	"strings"
	"time"
)

// Role is what a user may do with a document; each includes all before it.
type Role uint8

// The roles.
const (
	None    Role = iota // nothing
	Read                // receives, shows a cursor
	Comment             // may comment
	Write               // may edit; creates the document where it does not exist
	Manage              // may delete, restore, and end sessions
)

var roleNames = [...]string{"none", "read", "comment", "write", "manage"}

func (r Role) String() string { return roleNames[r] }

// ParseRole reads a role's name; an unknown one is None.
func ParseRole(name string) Role {
	for i, n := range roleNames {
		if n == name {
			return Role(i)
		}
	}
	return None
}

// Identity is what a good token says.
type Identity struct {
	User    string // sub, never empty
	Name    string
	Picture string
	Expires time.Time
	Docs    map[string]Role // by id, or by a prefix ending in '*'
	Admin   bool            // Manage on all, and may list
}

// Role is the identity's role on doc: an exact id decides before any prefix,
// and of prefixes the longest. Expiry is not looked at.
func (id Identity) Role(doc string) Role {
	if id.Admin {
		return Manage
	}
	if r, ok := id.Docs[doc]; ok && !strings.HasSuffix(doc, "*") {
		return r
	}
	role, longest := None, -1
	for key, r := range id.Docs {
		prefix, ok := strings.CutSuffix(key, "*")
		if ok && len(prefix) > longest && strings.HasPrefix(doc, prefix) {
			role, longest = r, len(prefix)
		}
	}
	return role
}

// Verifier turns a token into an identity. Any error means that the token is
// not good; its text is for the log and for the token's sender and holds nothing of the token.
type Verifier interface {
	Verify(ctx context.Context, token string) (Identity, error)
}
