package main

import (
	"fmt"
	"html"
	"os"
	"strings"
)

// Measures of the chart, in its own units.
const (
	chartWidth = 760
	barLeft    = 130
	barMost    = 500
	barHeight  = 16
	barStep    = 21
	groupGap   = 40
)

// style serves light and dark pages alike.
const style = `<style>
text { font: 13px system-ui, sans-serif; fill: #24292f }
.title { font-weight: 600 }
.small { fill: #57606a; font-size: 12px }
.bar { fill: #b6bec7 }
.skiff { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #e6edf3 } .small { fill: #8d96a0 } .bar { fill: #484f58 } .skiff { fill: #4493f8 }
}
</style>`

// chart draws a group of bars for each case; every group has a scale of its own.
func (r *report) chart(f *os.File) error {
	var body strings.Builder
	y := 24
	for _, one := range r.Cases {
		fmt.Fprintf(&body, "<text class=\"title\" x=\"0\" y=\"%d\">%s</text>\n", y, html.EscapeString(one.Title))
		y += 10
		most := 0.0
		for _, v := range one.Values {
			most = max(most, v.Median)
		}
		for _, v := range one.Values {
			class := "bar"
			if v.Contender == "skiff" {
				class = "skiff"
			}
			width := 1.0
			if most > 0 {
				width = max(v.Median/most*barMost, 1)
			}
			fmt.Fprintf(&body, "<text x=\"%d\" y=\"%d\" text-anchor=\"end\">%s</text>", barLeft-8, y+barHeight-3, html.EscapeString(v.Contender))
			fmt.Fprintf(&body, "<rect class=\"%s\" x=\"%d\" y=\"%d\" width=\"%.1f\" height=\"%d\" rx=\"2\"/>", class, barLeft, y, width, barHeight)
			fmt.Fprintf(&body, "<text class=\"small\" x=\"%.1f\" y=\"%d\">%s %s</text>\n", barLeft+width+6, y+barHeight-4, figure(v.Median), one.Unit)
			y += barStep
		}
		y += groupGap - 10
	}
	foot := fmt.Sprintf("%s, %d CPUs, Linux %s. Medians of %d runs in turn.", r.Machine.CPU, r.Machine.CPUs, r.Machine.Kernel, r.Runs)
	fmt.Fprintf(&body, "<text class=\"small\" x=\"0\" y=\"%d\">%s</text>\n", y-10, html.EscapeString(foot))
	_, err := fmt.Fprintf(f, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\" aria-label=\"skiff compared\">\n%s\n%s</svg>\n",
		chartWidth, y, chartWidth, y, style, body.String())
	return err
}

// figure writes a number with as many digits as it deserves.
func figure(v float64) string {
	if v < 10 {
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.0f", v)
}
