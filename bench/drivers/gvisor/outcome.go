package main

import (
	"fmt"
	"math/bits"
	"time"
)

// outcome is what was measured.
type outcome struct {
	unit     string
	count    uint64
	duration time.Duration
	latency  *latency
}

func (o *outcome) String() string {
	line := fmt.Sprintf(`{"unit":"%s","count":%d,"seconds":%.6f`, o.unit, o.count, o.duration.Seconds())
	if o.latency != nil {
		l := o.latency
		line += fmt.Sprintf(`,"latency_ns":{"p50":%d,"p99":%d,"p999":%d}`, l.quantile(0.5), l.quantile(0.99), l.quantile(0.999))
	}
	return line + "}"
}

// latency says how often something took how long, in columns at most 1/128 of their value wide.
type latency struct {
	columns [64 << 7]uint64
	count   uint64
}

func (l *latency) record(d time.Duration) {
	value, magnitude := uint64(d), 0
	if length := bits.Len64(value); length > 8 {
		magnitude = length - 8
	}
	l.columns[magnitude<<7+int(value>>magnitude)]++
	l.count++
}

// quantile is the time within which this part of all lies, in nanoseconds.
func (l *latency) quantile(part float64) uint64 {
	rank, seen := uint64(float64(l.count)*part+0.999999), uint64(0)
	for column, count := range l.columns {
		seen += count
		if seen > 0 && seen >= rank {
			magnitude := 0
			if column>>7 > 0 {
				magnitude = column>>7 - 1
			}
			return uint64(column-magnitude<<7)<<magnitude + uint64(1)<<magnitude>>1
		}
	}
	return 0
}
