// Command pause does nothing, properly: it reaps orphans and ends when asked. It is the first process of the harness's
// machines, the sandbox of pods, and the program inside the test images.
//
//	pause                    waits
//	pause say WORD…          prints the words, then waits
//	pause exit CODE WORD…    prints the words, then ends with the code
//	pause lab SLOT           waits; the arguments only mark the process of that slot
package main

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
)

func main() {
	arguments := os.Args[1:]
	if len(arguments) > 1 {
		switch arguments[0] {
		case "say":
			fmt.Println(strings.Join(arguments[1:], " "))
		case "exit":
			code, err := strconv.Atoi(arguments[1])
			if err != nil {
				fmt.Fprintln(os.Stderr, "pause: exit needs a number")
				os.Exit(2)
			}
			fmt.Println(strings.Join(arguments[2:], " "))
			os.Exit(code)
		}
	}
	wait()
}

// wait reaps children until SIGINT or SIGTERM. As the first process of a machine it is ended by SIGKILL from outside,
// and must outlive a terminal's SIGHUP.
func wait() {
	signal.Ignore(syscall.SIGHUP)
	arrived := make(chan os.Signal, 8)
	signal.Notify(arrived, syscall.SIGINT, syscall.SIGTERM, syscall.SIGCHLD)
	for received := range arrived {
		if received != syscall.SIGCHLD {
			return
		}
		for {
			var status syscall.WaitStatus
			pid, err := syscall.Wait4(-1, &status, syscall.WNOHANG, nil)
			if err != nil || pid <= 0 {
				break
			}
		}
	}
}
