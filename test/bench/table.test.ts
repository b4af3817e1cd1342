import { formatTable } from './table.ts';

describe('the table of figures', () => {
  it('says what is met, what is missed and by how much, and what is reported only', () => {
    const figures = [
      { key: 'ratio', meaning: 'a ÷ b', goal: { atLeast: 0.8 } },
      { key: 'mib', meaning: 'working set', goal: { atMost: 96 } },
      { key: 'cpu_s', meaning: 'seconds' },
      { key: 'gone', meaning: 'never', goal: { atMost: 1 } },
    ];
    const lines = formatTable(figures, { ratio: 0.912345, mib: 101.26, cpu_s: 1234.5 }).split('\n');
    expect(lines.map((line) => line.split(/ {2,}/))).toEqual([
      ['figure', 'measured', 'goal', 'meaning'],
      ['ratio', '0.912', '≥ 0.8', 'met', 'a ÷ b'],
      ['mib', '101', '≤ 96', 'missed by 5.26', 'working set'],
      ['cpu_s', '1235', '-', 'seconds'],
      ['gone', '-', '≤ 1', 'not measured', 'never'],
    ]);
  });
});
