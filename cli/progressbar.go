package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/skiff-containers/skiff/registry"
)

// line is a layer in at most columns characters: what is not told at less width
// is the rate first, then the bar.
func (l *barState) line(columns int) string {
	head := fmt.Sprintf("%-12s  %-14s", clean(l.ID), l.Phase)
	switch {
	case l.Text != "":
		return ellipsis(head+"  "+cell(clean(l.Text)), columns)
	case finished(l.Phase):
		if l.Total > 0 {
			head += "  " + bytesText(l.Total)
		}
		return ellipsis(strings.TrimRight(head, " "), columns)
	case l.Current == 0 && l.Total == 0:
		return ellipsis(strings.TrimRight(head, " "), columns)
	}
	amount := bytesText(l.Current)
	if l.Total > 0 {
		amount += "/" + bytesText(l.Total)
	}
	amount = fmt.Sprintf("%17s", amount)
	speed := ""
	if r := l.rate.perSecond(); r > 0 {
		speed = fmt.Sprintf("  %9s/s", bytesText(int64(r)))
	}
	if len(head)+len(amount)+len(speed)+2 > columns {
		speed = ""
	}
	room := columns - len(head) - len(amount) - 2 - 2 - 13
	if l.Total > 0 && room >= 12 {
		return ellipsis(head+"  "+bar(l.Current, l.Total, min(room, 50))+"  "+amount+speed, columns)
	}
	return ellipsis(head+"  "+amount+speed, columns)
}

// bar is docker's: [=====>     ].
func bar(current, total int64, width int) string {
	inner := width - 2
	full := int(float64(inner) * float64(min(current, total)) / float64(total))
	switch {
	case full >= inner:
		return "[" + strings.Repeat("=", inner) + "]"
	case full == 0:
		return "[>" + strings.Repeat(" ", inner-1) + "]"
	}
	return "[" + strings.Repeat("=", full-1) + ">" + strings.Repeat(" ", inner-full) + "]"
}

// rate is how fast bytes come, smoothed over a second or two.
type rate struct {
	at    time.Time
	bytes int64
	value float64 // bytes a second
}

// rateSpan is the least time between two points that the rate is taken from.
const rateSpan = 250 * time.Millisecond

func (r *rate) add(bytes int64, now time.Time) {
	if r.at.IsZero() || bytes < r.bytes {
		r.at, r.bytes = now, bytes
		return
	}
	span := now.Sub(r.at)
	if span < rateSpan {
		return
	}
	fresh := float64(bytes-r.bytes) / span.Seconds()
	if r.value == 0 {
		r.value = fresh
	} else {
		r.value = 0.7*r.value + 0.3*fresh
	}
	r.at, r.bytes = now, bytes
}

func (r *rate) perSecond() float64 { return r.value }

var _ registry.Progress = (*bars)(nil)
