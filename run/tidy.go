package run

// tidy clears away what processes left that died, once per engine, while the
// operation that calls it does its own work, which waits for that at its end:
//
//	defer e.tidy()()
func (e *Engine) tidy() (wait func()) {
	done := make(chan struct{})
	first := false
	e.swept.Do(func() { first = true })
	if !first {
		return func() {}
	}
	go func() {
		defer close(done)
		if err := e.Store.Sweep(); err != nil {
			e.say("clearing away leftovers: " + err.Error())
		}
	}()
	return func() { <-done }
}
