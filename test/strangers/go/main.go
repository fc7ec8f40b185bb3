// go-amqp against a broker: strangers [CHECK...]; the environment is described in ../main.ts.
package main

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"time"
)

const patience = 10 * time.Second
const checkDeadline = time.Minute

type check struct {
	name string
	run  func()
}

// What the client cannot do, and why.
type skipped struct{ reason string }

func skip(reason string) func() {
	return func() { panic(skipped{reason}) }
}

func fail(format string, values ...any) {
	panic(fmt.Errorf(format, values...))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(actual, expected any, what string) {
	was, should := fmt.Sprintf("%#v", actual), fmt.Sprintf("%#v", expected)
	if was != should {
		fail("%s is %s, not %s", what, was, should)
	}
}

// verdict runs a check and answers the line that tells of it.
func verdict(each check) (line string, passed bool) {
	ended := make(chan any, 1)
	go func() {
		defer func() { ended <- recover() }()
		each.run()
	}()
	var problem any
	select {
	case problem = <-ended:
	case <-time.After(checkDeadline):
		problem = fmt.Sprintf("nothing within %s", checkDeadline)
	}
	switch problem := problem.(type) {
	case nil:
		return "ok " + each.name, true
	case skipped:
		return fmt.Sprintf("skip %s: %s", each.name, problem.reason), true
	default:
		return strings.ReplaceAll(fmt.Sprintf("FAIL %s: %v", each.name, problem), "\n", " "), false
	}
}

var input = bufio.NewReader(os.Stdin)

// askForRestart has the broker killed with -9 and started again on the same ports.
func askForRestart() {
	fmt.Println("restart")
}

func waitForRestart() {
	line, err := input.ReadString('\n')
	must(err)
	equal(line, "restarted\n", "the answer to the wish for a restart")
}

func main() {
	asked := map[string]bool{}
	for _, name := range os.Args[1:] {
		asked[name] = true
	}
	failed := false
	for _, list := range [][]check{settlement, destinations, contents, connections} {
		for _, each := range list {
			if len(asked) > 0 && !asked[each.name] {
				continue
			}
			line, passed := verdict(each)
			fmt.Println(line)
			failed = failed || !passed
		}
	}
	if failed {
		os.Exit(1)
	}
}
