package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// days is a flag's time that may be given in days (30d) as well as 12h or 90m; 0 stands alone.
type days time.Duration

const day = 24 * time.Hour

func (d *days) Set(text string) error {
	t, err := time.ParseDuration(text)
	if n, whole := strings.CutSuffix(text, "d"); whole {
		var count int
		count, err = strconv.Atoi(n)
		if err == nil && count > 100*366 {
			err = errors.New("that is more than a hundred years")
		}
		t = time.Duration(count) * day
	}
	if err != nil || t < 0 {
		return fmt.Errorf("%q should be a time such as 30d or 12h", text)
	}
	*d = days(t)
	return nil
}

func (d *days) String() string {
	t := time.Duration(*d)
	if t%day == 0 && t > 0 {
		return strconv.Itoa(int(t/day)) + "d"
	}
	if t == 0 {
		return "0"
	}
	return t.String()
}

func (d *days) Type() string { return "time" }
