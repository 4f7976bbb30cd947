package game

import (
	"fmt"
	"math"
	"strings"
)

// Series is one line of a plot.
type Series struct {
	Name   string
	Points []Point
	Dots   bool // points without a line
}

// Point is one measurement; both coordinates are above 0.
type Point struct{ X, Y float64 }

// Plot is a drawing with logarithmic axes.
type Plot struct {
	Title, X, Y string
	Series      []Series
	Diagonal    bool // draw y = x
}

// Sizes of a drawing in pixels.
const (
	plotWidth, plotHeight      = 640.0, 400.0
	marginLeft, marginRight    = 70.0, 130.0
	marginTop, marginBottom    = 34.0, 50.0
	tickLength, legendLine     = 5.0, 18.0
	dotRadius, pointRadius     = 1.6, 3.2
	lineHeight, lineWidth      = 17.0, 1.8
	titleBaseline, axisCaption = 20.0, 38.0
)

// plotColours are told apart by people who see few colours, too (Okabe and Ito); the first is for what is compared with the others.
var plotColours = []string{"#d55e00", "#0072b2", "#56b4e9", "#009e73", "#cc79a7", "#999999"}

// SVG draws the plot; it is empty when there is nothing to draw.
func (p *Plot) SVG() string {
	x, y := axis{math.Inf(1), math.Inf(-1)}, axis{math.Inf(1), math.Inf(-1)}
	for _, s := range p.Series {
		for _, pt := range s.Points {
			x, y = x.with(pt.X), y.with(pt.Y)
		}
	}
	if x.high < x.low {
		return ""
	}
	if p.Diagonal {
		x, y = x.with(y.low).with(y.high), y.with(x.low).with(x.high)
	}
	d := drawing{x: x.rounded(), y: y.rounded()}
	d.frame(p)
	for i, s := range p.Series {
		d.series(s, plotColours[i%len(plotColours)])
		d.legend(i, s.Name, plotColours[i%len(plotColours)])
	}
	d.b.WriteString("</svg>\n")
	return d.b.String()
}

// axis is a range of values.
type axis struct{ low, high float64 }

func (a axis) with(v float64) axis { return axis{min(a.low, v), max(a.high, v)} }

// rounded returns the axis from and to a 1, 2 or 5 times a power of ten.
func (a axis) rounded() axis {
	out := axis{a.low, a.high}
	for _, t := range ticks(a.low/10, a.high*10) {
		if t <= a.low {
			out.low = t
		}
		if t >= a.high {
			out.high = t
			break
		}
	}
	if out.low == out.high {
		out.high *= 2
	}
	return out
}

// ticks returns 1, 2 and 5 times the powers of ten between two values.
func ticks(low, high float64) (out []float64) {
	for e := math.Floor(math.Log10(low)); math.Pow(10, e) <= high; e++ {
		for _, m := range []float64{1, 2, 5} {
			if v := m * math.Pow(10, e); v >= low && v <= high {
				out = append(out, v)
			}
		}
	}
	return out
}

type drawing struct {
	b    strings.Builder
	x, y axis
}

func (d *drawing) place(p Point) (px, py float64) {
	part := func(a axis, v float64) float64 { return math.Log(v/a.low) / math.Log(a.high/a.low) }
	w, h := plotWidth-marginLeft-marginRight, plotHeight-marginTop-marginBottom
	return marginLeft + w*part(d.x, p.X), plotHeight - marginBottom - h*part(d.y, p.Y)
}

func (d *drawing) text(x, y float64, anchor, s string) {
	s = strings.NewReplacer("&", "&amp;", "<", "&lt;").Replace(s)
	fmt.Fprintf(&d.b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", x, y, anchor, s)
}

func (d *drawing) line(x1, y1, x2, y2 float64, colour string) {
	fmt.Fprintf(&d.b, `<line x1="%.1f" y1="%.1f" x2="%.1f" y2="%.1f" stroke="%s"/>`+"\n", x1, y1, x2, y2, colour)
}

func (d *drawing) frame(p *Plot) {
	fmt.Fprintf(&d.b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %g %g" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&d.b, `<rect width="%g" height="%g" fill="#ffffff"/>`+"\n", plotWidth, plotHeight)
	d.text(marginLeft, titleBaseline, "start", p.Title)
	bottom, right := plotHeight-marginBottom, plotWidth-marginRight
	for _, v := range ticks(d.x.low, d.x.high) {
		x, _ := d.place(Point{v, d.y.low})
		d.line(x, marginTop, x, bottom+tickLength, "#dddddd")
		d.text(x, bottom+lineHeight, "middle", tickName(v))
	}
	for _, v := range ticks(d.y.low, d.y.high) {
		_, y := d.place(Point{d.x.low, v})
		d.line(marginLeft-tickLength, y, right, y, "#dddddd")
		d.text(marginLeft-2*tickLength, y+4, "end", tickName(v))
	}
	if p.Diagonal {
		x1, y1 := d.place(Point{d.x.low, d.x.low})
		x2, y2 := d.place(Point{d.x.high, d.x.high})
		d.line(x1, y1, x2, y2, "#555555")
	}
	d.text((marginLeft+right)/2, bottom+axisCaption, "middle", p.X)
	fmt.Fprintf(&d.b, `<g transform="translate(16 %.1f) rotate(-90)">`, (marginTop+bottom)/2)
	d.text(0, 0, "middle", p.Y)
	d.b.WriteString("</g>\n")
}

func (d *drawing) series(s Series, colour string) {
	radius := pointRadius
	if s.Dots {
		radius = dotRadius
	} else {
		fmt.Fprintf(&d.b, `<polyline fill="none" stroke="%s" stroke-width="%g" points="`, colour, lineWidth)
		for _, p := range s.Points {
			x, y := d.place(p)
			fmt.Fprintf(&d.b, "%.1f,%.1f ", x, y)
		}
		d.b.WriteString("\"/>\n")
	}
	for _, p := range s.Points {
		x, y := d.place(p)
		fmt.Fprintf(&d.b, `<circle cx="%.1f" cy="%.1f" r="%g" fill="%s"/>`+"\n", x, y, radius, colour)
	}
}

func (d *drawing) legend(i int, name, colour string) {
	x, y := plotWidth-marginRight+12, marginTop+8+float64(i)*legendLine
	fmt.Fprintf(&d.b, `<rect x="%.1f" y="%.1f" width="10" height="10" fill="%s"/>`+"\n", x, y-9, colour)
	d.text(x+15, y, "start", name)
}

// tickName writes a number shortly: 20, 0.5, 10 k, 2 M.
func tickName(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.4g M", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.4g k", v/1e3)
	}
	return fmt.Sprintf("%.4g", v)
}
