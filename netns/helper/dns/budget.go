package dns

import "sync"

// budget bounds how many of something there are: for each container, and in all.
type budget struct {
	each, all int

	mu    sync.Mutex
	total int
	of    map[string]int // by container id; without those that have none
}

// take has one more for a container, where there may be; give is called for it then.
func (b *budget) take(id string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.total >= b.all || b.of[id] >= b.each {
		return false
	}
	if b.of == nil {
		b.of = map[string]int{}
	}
	b.of[id]++
	b.total++
	return true
}

func (b *budget) give(id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.total--
	if b.of[id]--; b.of[id] == 0 {
		delete(b.of, id)
	}
}
