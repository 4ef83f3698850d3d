//! Diagrams as inline SVG. Colours are names for the style sheet, which knows light and dark: it matches `#000001` and so
//! on and puts others in their place.

use crate::{
    eval::metrics::{Bin, CurvePoint},
    report::ReportError,
};
use plotters::{
    coord::{Shift, cartesian::Cartesian2d, types::RangedCoordf64},
    prelude::*,
};

const SIZE: (u32, u32) = (520, 420);
const INK: RGBColor = RGBColor(0, 0, 1);
const LINE: RGBColor = RGBColor(0, 0, 2);
const BAR: RGBColor = RGBColor(0, 0, 3);
const DIAGONAL: RGBColor = RGBColor(0, 0, 4);
/// Of the curves: 10, 11, ..
const FIRST_CURVE: u8 = 0x10;

type Unit<'a> = ChartContext<'a, SVGBackend<'a>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

/// Precision over recall; a colour a curve.
pub fn curves(curves: &[&[CurvePoint]]) -> Result<String, ReportError> {
    svg(|area| {
        let mut chart = unit_square(area, "recall", "precision")?;
        for (index, curve) in curves.iter().enumerate().rev() {
            let colour = RGBColor(0, 0, FIRST_CURVE + index as u8);
            // What the first corner finds is found from there on.
            let first = curve.first().map(|corner| (0.0, corner.precision));
            let corners = first.into_iter().chain(curve.iter().map(|corner| (corner.recall, corner.precision)));
            chart.draw_series(LineSeries::new(corners, colour.stroke_width(2)))?;
        }
        Ok(())
    })
}

/// Share of labels that are there over their probability; what lies on the diagonal is calibrated.
pub fn reliability(bins: &[Bin]) -> Result<String, ReportError> {
    svg(|area| {
        let mut chart = unit_square(area, "probability", "share present")?;
        let used = || bins.iter().filter(|bin| bin.pairs > 0);
        let bar = |bin: &Bin| Rectangle::new([(bin.lower, 0.0), (bin.upper, bin.share_present)], BAR.filled());
        chart.draw_series(used().map(bar))?;
        chart.draw_series(LineSeries::new([(0.0, 0.0), (1.0, 1.0)], DIAGONAL.stroke_width(1)))?;
        let dot = |bin: &Bin| Circle::new((bin.mean_probability, bin.share_present), 4, INK.filled());
        chart.draw_series(used().map(dot))?;
        Ok(())
    })
}

type Drawn<T> = Result<T, DrawingAreaErrorKind<std::io::Error>>;

fn svg(draw: impl FnOnce(&DrawingArea<SVGBackend, Shift>) -> Drawn<()>) -> Result<String, ReportError> {
    let mut svg = String::new();
    let area = SVGBackend::with_string(&mut svg, SIZE).into_drawing_area();
    let drawn = draw(&area).and_then(|()| area.present());
    drop(area);
    drawn.map_err(|e| ReportError::Diagram(e.to_string()))?;
    // A fixed size would not fit a small screen; the style sheet gives one.
    let (width, height) = SIZE;
    Ok(svg.replacen(&format!("width=\"{width}\" height=\"{height}\" "), "", 1))
}

/// Axes from 0 to 1.
fn unit_square<'a>(area: &DrawingArea<SVGBackend<'a>, Shift>, x: &str, y: &str) -> Drawn<Unit<'a>> {
    let mut chart = ChartBuilder::on(area)
        .margin(12)
        .x_label_area_size(44)
        .y_label_area_size(52)
        .build_cartesian_2d(0.0..1.0, 0.0..1.0)?;
    chart
        .configure_mesh()
        .disable_x_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(LINE)
        .axis_style(LINE)
        .label_style(("sans-serif", 14, &INK))
        .axis_desc_style(("sans-serif", 15, &INK))
        .x_labels(6)
        .y_labels(6)
        .x_label_formatter(&|tick| format!("{tick:.1}"))
        .y_label_formatter(&|tick| format!("{tick:.1}"))
        .x_desc(x)
        .y_desc(y)
        .draw()?;
    Ok(chart)
}
