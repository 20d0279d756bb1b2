package main

import (
	"fmt"
	"time"
)

// largeRounds is how often the large image is pulled and prepared.
const largeRounds = 5

// large measures --userns keep-id on an image of 60,000 files: what the first start
// takes, which gives its files other owners, against a pull of that image, and the
// second against one without. Each round begins with nothing of the image there.
func (b *comparison) large(r *report) error {
	image, stop, err := serve(b.serve, "large")
	if err != nil {
		return err
	}
	defer stop()
	steps := []struct {
		key, title string
		argv       func(c *contender) []string
	}{
		{"large-pull", fmt.Sprintf("pull of an image of 60,000 files (of this and the next three %d runs)", largeRounds), func(c *contender) []string { return c.pull(image) }},
		{"large-first", "its first start with --userns keep-id", func(c *contender) []string { return c.runLarge(image, "--userns", "keep-id") }},
		{"large-second", "its second start with --userns keep-id", func(c *contender) []string { return c.runLarge(image, "--userns", "keep-id") }},
		{"large-plain", "its start without", func(c *contender) []string { return c.runLarge(image) }},
	}
	var names []string
	times := make([]samples, len(steps))
	for i := range steps {
		times[i] = samples{}
	}
	for _, c := range b.contenders {
		if c.pull == nil {
			continue
		}
		names = append(names, c.name)
		for range largeRounds {
			for i, step := range steps {
				say("%s: %s", c.name, step.title)
				took, err := c.run(step.argv(c))
				if err != nil {
					return err
				}
				times[i][c.name] = append(times[i][c.name], float64(took)/float64(time.Millisecond))
			}
			if _, err := c.run(c.runRemove(image)); err != nil {
				return err
			}
		}
	}
	for i, step := range steps {
		r.add(step.key, step.title, "ms", names, times[i])
	}
	return nil
}

// runLarge starts a container that ends at once.
func (c *contender) runLarge(image string, options ...string) []string {
	argv := append([]string{c.create[0], "run", "--rm", "--network", "none"}, options...)
	return append(argv, image, "true")
}

func (c *contender) runRemove(image string) []string {
	return []string{c.create[0], "rmi", "-f", image}
}
