import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { DATASOURCE, plantDashboard } from '../../../deploy/grafana/plant-dashboard.ts';
import { MACHINE_STATES } from '../../../src/domain/health.ts';
import { dashboardQueries } from '../../support/dashboard-queries.ts';

const folder = new URL('../../../deploy/grafana/', import.meta.url);
const file = (name: string) => fileURLToPath(new URL(name, folder));
const yaml = (name: string) => parse(readFileSync(file(name), 'utf8'));

describe('the Grafana dashboard', () => {
  const dashboard = plantDashboard();

  it('is in the tree as the builder makes it (`npx vitest run test/unit/deploy -u` writes it)', async () => {
    await expect(`${JSON.stringify(dashboard, null, 2)}\n`).toMatchFileSnapshot(
      file('dashboards/plant.json'),
    );
  });

  it('gives every panel its own number and its own place', () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(new Set(ids).size).toBe(ids.length);
    const cells = new Set<string>();
    for (const { gridPos } of dashboard.panels) {
      const { x, y, w, h } = gridPos as { x: number; y: number; w: number; h: number };
      expect(x + w).toBeLessThanOrEqual(24);
      for (let i = x; i < x + w; i++) {
        for (let j = y; j < y + h; j++) {
          expect(cells.has(`${i},${j}`)).toBe(false);
          cells.add(`${i},${j}`);
        }
      }
    }
  });

  it('asks the data source that is provisioned', () => {
    const [source] = yaml('provisioning/datasources/influxdb.yaml').datasources;
    expect(source).toMatchObject({
      uid: DATASOURCE.uid,
      type: DATASOURCE.type,
      jsonData: { version: 'Flux' },
    });
    expect(source.name).toBeTruthy();
    expect(source.secureJsonData.token).toBe('$INFLUX_TOKEN');
  });

  it('lies where the provider looks for it', () => {
    const [provider] = yaml('provisioning/dashboards/plant.yaml').providers;
    expect(provider).toMatchObject({ type: 'file', options: { path: '/var/lib/grafana/dashboards' } });
    expect(readFileSync(file('../docker/compose.yaml'), 'utf8')).toContain(
      '../grafana/dashboards:/var/lib/grafana/dashboards:ro',
    );
  });

  it('has a colour and a word for every state a machine can be in', () => {
    const text = JSON.stringify(dashboard);
    for (const [index, state] of MACHINE_STATES.entries()) {
      expect(text).toContain(`"${index}":{"text":"${state}"`);
    }
  });

  it('uses no variable that it does not define', () => {
    const variables = Object.fromEntries(
      dashboard.templating.list.map((variable) => [(variable as { name: string }).name, 'x']),
    );
    const queries = dashboardQueries(dashboard as never, { start: '-1h', stop: 'now()', variables });
    expect(queries.length).toBeGreaterThan(20);
    for (const { flux } of queries) expect(flux).not.toMatch(/\$\{/);
  });
});
