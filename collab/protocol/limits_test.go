package protocol_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/weft-collab/weft/collab/protocol"
)

// The limit of attributes and embed holds to the byte, and counts nothing of what is around them.
func TestAttributesAndEmbedAreCountedToTheByte(t *testing.T) {
	const most = 60
	limits := protocol.Limits{Message: 1 << 20, Attributes: most}
	for name, c := range map[string]struct {
		component string // %s takes what fills it up
		counted   int    // bytes of attributes and embed without that
	}{
		"attributes of text":       {`{"insert":"text","attributes":{"a":"%s"}}`, len(`{"a":""}`)},
		"attributes of a retain":   {`{"retain":12345,"attributes":{"a":"%s"}}`, len(`{"a":""}`)},
		"an embed":                 {`{"insert":{"image":"%s"}}`, len(`{"image":""}`)},
		"both":                     {`{"insert":{"image":"%s"},"attributes":{"a":1}}`, len(`{"image":""}{"a":1}`)},
		"spaces that are not kept": {`{"insert" : { "image" : "%s" } }`, len(`{"image":""}`)},
	} {
		for over := range 2 {
			fill := strings.Repeat("x", most-c.counted+over)
			_, err := protocol.Decode([]byte(`{"t":"op","v":1,"seq":1,"d":[`+fmt.Sprintf(c.component, fill)+`]}`), limits)
			var e *protocol.Error
			if large := errors.As(err, &e) && e.Code == protocol.TooLarge; large != (over > 0) {
				t.Errorf("%s, %d bytes beyond the limit: %v", name, over, err)
			}
		}
	}
}
