/** A picture on the results page. */
export interface Plot {
  /** Of its file. */
  name: string;
  title: string;
  x: string;
  y: string;
  lines: { name: string; points: [x: number, y: number][] }[];
}

const WIDTH = 720;
const HEIGHT = 420;
const AREA = { left: 70, right: 700, top: 50, bottom: 340 };
const COLOURS = ['#1f6feb', '#d1242f', '#1a7f37', '#9a6700', '#8250df', '#57606a'];
const LEGEND_COLUMNS = 3;

/** The plot as SVG: both axes begin at zero, so that lengths can be compared. */
export function svg(plot: Plot): string {
  const points = plot.lines.flatMap((line) => line.points);
  const ticks = {
    x: axisTicks(Math.max(...points.map(([x]) => x))),
    y: axisTicks(Math.max(...points.map(([, y]) => y))),
  };
  const place = {
    x: (x: number) => round(AREA.left + (x / ticks.x.at(-1)!) * (AREA.right - AREA.left)),
    y: (y: number) => round(AREA.bottom - (y / ticks.y.at(-1)!) * (AREA.bottom - AREA.top)),
  };
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="12">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(AREA.left, 24, plot.title, 'font-size="15" font-weight="bold"'),
    ...ticks.y.flatMap((y) => [
      `<path d="M${AREA.left} ${place.y(y)}H${AREA.right}" stroke="#d0d7de"/>`,
      text(AREA.left - 8, place.y(y) + 4, String(y), 'text-anchor="end"'),
    ]),
    ...ticks.x.map((x) => text(place.x(x), AREA.bottom + 18, String(x), 'text-anchor="middle"')),
    text((AREA.left + AREA.right) / 2, AREA.bottom + 38, plot.x, 'text-anchor="middle"'),
    text(AREA.left - 54, AREA.top - 10, plot.y),
    ...plot.lines.flatMap((line, index) => {
      const colour = COLOURS[index % COLOURS.length]!;
      const at = line.points.map(([x, y]) => `${place.x(x)},${place.y(y)}`);
      const legendX = AREA.left + (index % LEGEND_COLUMNS) * 215;
      const legendY = AREA.bottom + 60 + Math.floor(index / LEGEND_COLUMNS) * 16;
      return [
        `<polyline points="${at.join(' ')}" fill="none" stroke="${colour}" stroke-width="2"/>`,
        ...at.map((point) => {
          const [cx, cy] = point.split(',');
          return `<circle cx="${cx}" cy="${cy}" r="3" fill="${colour}"/>`;
        }),
        `<rect x="${legendX}" y="${legendY - 9}" width="10" height="10" fill="${colour}"/>`,
        text(legendX + 15, legendY, line.name),
      ];
    }),
    '</svg>',
    '',
  ].join('\n');
}

/** Four to ten round steps from zero to at least `most`. */
function axisTicks(most: number): number[] {
  if (!(most > 0)) return [0, 1];
  const rough = 10 ** Math.floor(Math.log10(most));
  const step = [rough / 5, rough / 2, rough, rough * 2].find((size) => most / size <= 8)!;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => Number((index * step).toPrecision(6)));
}

const text = (x: number, y: number, words: string, more = ''): string =>
  `<text x="${x}" y="${y}" ${more}>${words.replace(/[<>&]/g, (sign) => `&#${sign.charCodeAt(0)};`)}</text>`;
const round = (value: number): number => Math.round(value * 10) / 10;

/** Every run of several things, side by side: what a median leaves out. Seconds. */
export const runsPlot = (name: string, title: string, series: Record<string, number[]>): Plot => ({
  ...{ name, title, x: 'run', y: 'seconds' },
  lines: Object.entries(series).map(([of, values]) => ({
    name: of,
    points: values.map((value, index) => [index + 1, value]),
  })),
});
