package conmon

import (
	"strings"
	"sync"
)

// capture keeps the beginning of what a process writes.
type capture struct {
	mu   sync.Mutex
	data []byte
	room int
	more bool // something was left out
}

func (c *capture) write(data []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := min(len(data), c.room-len(c.data))
	c.data = append(c.data, data[:n]...)
	c.more = c.more || n < len(data)
}

// text is what was kept, with an ellipsis where that is not all.
func (c *capture) text() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	text := strings.ToValidUTF8(string(c.data), "\ufffd")
	if c.more {
		text += "..."
	}
	return text
}
