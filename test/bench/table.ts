/** Figures as a table for a person: value, goal, and by how much it is missed. */
import { missedBy, type Figure } from './group.ts';

/** By key. */
export type Results = Readonly<Record<string, number>>;

export function formatTable(figures: readonly Figure[], results: Results): string {
  const rows = figures.map((figure) => {
    const value = results[figure.key];
    const cells = [
      figure.key,
      value === undefined ? '-' : round(value),
      formatGoal(figure),
      verdict(figure, value),
    ];
    return { cells, meaning: figure.meaning };
  });
  const header = { cells: ['figure', 'measured', 'goal', ''], meaning: 'meaning' };
  const widths = [0, 1, 2, 3].map((column) =>
    Math.max(...[header, ...rows].map(({ cells }) => cells[column]?.length ?? 0)),
  );
  return [header, ...rows]
    .map(
      ({ cells, meaning }) =>
        `${cells.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}  ${meaning}`,
    )
    .join('\n');
}

function formatGoal({ goal }: Figure): string {
  if (goal === undefined) return '-';
  return 'atLeast' in goal ? `≥ ${goal.atLeast}` : `≤ ${goal.atMost}`;
}

function verdict(figure: Figure, value: number | undefined): string {
  if (value === undefined) return 'not measured';
  const missed = missedBy(figure, value);
  if (missed > 0) return `missed by ${round(missed)}`;
  return figure.goal === undefined ? '' : 'met';
}

/** Three significant digits tell all that such a measurement knows. */
function round(value: number): string {
  return String(Math.abs(value) >= 100 ? Math.round(value) : Number(value.toPrecision(3)));
}
