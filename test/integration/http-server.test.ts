/** The HTTP server as a network client meets it. */

import { connect } from 'node:net';
import { afterEach, describe, expect, it } from 'vitest';
import type { GatewayStatus } from '../../src/domain/gateway-status.ts';
import { createHttpServer, type HttpServer, type HttpServerOptions } from '../../src/http/server.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import { type MetricSample, renderMetrics } from '../../src/telemetry/metrics.ts';
import { machineStatus, plantStatus } from '../support/plant-status.ts';

const AT = 1_780_000_000_000;
const servers: HttpServer[] = [];

afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.stop()));
});

async function start(
  overrides: Partial<HttpServerOptions> = {},
  host = '127.0.0.1',
): Promise<{ url: string; server: HttpServer }> {
  const server = createHttpServer({
    config: { enabled: true, host, port: 0 },
    status: () => plantStatus(AT),
    metricsText: async () => 'millwright_ingest_connections 3\n',
    health: () => ({ live: true, ready: true, reasons: [] }),
    logger: SILENT,
    ...overrides,
  });
  servers.push(server);
  return { url: await server.start(), server };
}

/** Sends bytes and gives back everything until the server closes. */
function raw(url: string, bytes: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(bytes));
    let answer = '';
    socket.on('data', (chunk) => {
      answer += chunk.toString('latin1');
    });
    socket.on('close', () => resolve(answer));
    socket.on('error', reject);
  });
}

const HARDENED = {
  'content-security-policy': expect.stringContaining("default-src 'none'"),
  'x-content-type-options': 'nosniff',
  'x-frame-options': 'DENY',
  'referrer-policy': 'no-referrer',
  'cross-origin-resource-policy': 'same-origin',
};

describe('routes', () => {
  it('answers liveness and readiness apart, with the reasons', async () => {
    const { url } = await start({ health: () => ({ live: true, ready: false, reasons: ['store full'] }) });
    const live = await fetch(`${url}/healthz`);
    expect([live.status, await live.json()]).toEqual([
      200,
      { status: 'ok', live: true, ready: false, reasons: ['store full'] },
    ]);
    const ready = await fetch(`${url}/readyz`);
    expect([ready.status, await ready.json()]).toEqual([
      503,
      { status: 'failing', live: true, ready: false, reasons: ['store full'] },
    ]);
  });

  it('serves metrics in the Prometheus media type', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/metrics`);
    expect(response.headers.get('content-type')).toBe('text/plain; version=0.0.4; charset=utf-8');
    expect(await response.text()).toBe('millwright_ingest_connections 3\n');
  });

  it('serves the whole status, and parts of it', async () => {
    const { url } = await start();
    const get = async (path: string): Promise<unknown> => (await fetch(url + path)).json();
    expect(await get('/api/v1/status')).toEqual(JSON.parse(JSON.stringify(plantStatus(AT))));
    expect(await get('/api/v1/machines')).toMatchObject({ atMs: AT, machines: { length: 5 } });
    expect(await get('/api/v1/machines/pump-01')).toMatchObject({
      machine: 'pump-01',
      state: 'alarm',
      features: { length: 8 },
    });
    expect(await get('/api/v1/alarms')).toMatchObject({
      alarms: [{ machine: 'pump-01' }, { machine: 'fan-01' }],
    });
    expect(await get('/api/v1/sinks')).toMatchObject({ sinks: [{ sink: 'influx', state: 'retrying' }] });
  });

  it('limits feature rows on request and keeps those that explain the score', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/api/v1/status?features=3`);
    const { machines } = (await response.json()) as GatewayStatus;
    const pump = machines.find((machine) => machine.machine === 'pump-01');
    expect(pump?.features.map((row) => row.id)).toEqual([
      'vibration.kurtosis',
      'vibration.env_snr.bpfo',
      'flow.mean',
    ]);
    for (const bad of ['-1', '1.5', 'x', '', '1&features=2']) {
      expect((await fetch(`${url}/api/v1/status?features=${bad}`)).status).toBe(400);
    }
  });

  it('finds machines by their exact name, whatever characters it has', async () => {
    const names = ['<img src=x onerror=alert(1)>', 'a/b?c#d%', '__proto__', 'Pümpe 3', '💧'.repeat(100)];
    const machines = names.map((machine) => machineStatus(AT, { machine }));
    const { url } = await start({ status: () => plantStatus(AT, { machines }) });
    for (const name of names) {
      const response = await fetch(`${url}/api/v1/machines/${encodeURIComponent(name)}`);
      expect([response.status, ((await response.json()) as { machine: string }).machine]).toEqual([
        200,
        name,
      ]);
    }
    const unknown = await fetch(`${url}/api/v1/machines/constructor`);
    expect([unknown.status, await unknown.json()]).toEqual([
      404,
      { error: { code: 'unknown_machine', message: expect.any(String) } },
    ]);
  });

  it('answers 304 while nothing but the clock has changed, and says how old the snapshot is', async () => {
    let atMs = AT;
    let connections = 25;
    const status = (): GatewayStatus => {
      const base = plantStatus(AT);
      return { ...base, atMs, uptimeS: (atMs - AT) / 1000, ingest: { ...base.ingest, connections } };
    };
    const { url } = await start({ status });
    const first = await fetch(`${url}/api/v1/status`);
    const etag = first.headers.get('etag')!;
    await first.text();
    const again = async (): Promise<Response> => {
      await new Promise((resolve) => setTimeout(resolve, 300));
      return fetch(`${url}/api/v1/status`, { headers: { 'if-none-match': etag } });
    };
    atMs += 1_000;
    const unchanged = await again();
    expect([
      unchanged.status,
      unchanged.headers.get('millwright-snapshot-ms'),
      await unchanged.text(),
    ]).toEqual([304, String(atMs), '']);
    connections = 26;
    expect((await again()).status).toBe(200);
  });

  it('renders a snapshot once for many readers', async () => {
    let asked = 0;
    const { url } = await start({
      status: () => {
        asked++;
        return plantStatus(AT);
      },
    });
    await Promise.all(Array.from({ length: 40 }, async () => (await fetch(`${url}/api/v1/status`)).text()));
    expect(asked).toBeLessThan(10);
  });

  it('counts what it answered by route and status', async () => {
    const { url, server } = await start();
    for (const path of ['/healthz', '/healthz', '/api/v1/machines/nobody', '/wp-login.php'])
      await (await fetch(url + path)).text();
    const text = renderMetrics(server.metrics() as MetricSample[]);
    expect(text).toContain('millwright_http_requests_total{route="/healthz",status="200"} 2\n');
    expect(text).toContain(
      'millwright_http_requests_total{route="/api/v1/machines/:machine",status="404"} 1\n',
    );
    expect(text).toContain('millwright_http_requests_total{route="none",status="404"} 1\n');
  });
});

describe('refusals', () => {
  it('puts the security headers on every answer, errors included', async () => {
    const failing = { metricsText: () => Promise.reject(new Error('secret path /etc/x')) };
    const { url } = await start(failing);
    const cases: [string, RequestInit, number][] = [
      ['/', {}, 200],
      ['/page/app.js', {}, 200],
      ['/api/v1/status', {}, 200],
      ['/nothing', {}, 404],
      ['/page/../server.ts', {}, 404],
      ['/page/%2e%2e/server.ts', {}, 404],
      ['/%ff', {}, 400],
      ['/metrics', {}, 500],
      ['/', { method: 'POST', body: 'x' }, 405],
      ['/api/v1/status', { method: 'DELETE' }, 405],
      ['/', { method: 'OPTIONS' }, 405],
    ];
    for (const [path, init, status] of cases) {
      const response = await fetch(url + path, init);
      const text = await response.text();
      expect([path, response.status]).toEqual([path, status]);
      expect(Object.fromEntries(response.headers), path).toMatchObject(HARDENED);
      expect(response.headers.get('access-control-allow-origin')).toBeNull();
      expect(text).not.toContain('secret path');
      if (status >= 400)
        expect(JSON.parse(text)).toEqual({
          error: { code: expect.stringMatching(/^[a-z_]+$/), message: expect.any(String) },
        });
    }
  });

  it('answers HEAD like GET without the body', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/api/v1/status`, { method: 'HEAD' });
    expect([response.status, await response.text()]).toEqual([200, '']);
    expect(response.headers.get('etag')).toMatch(/^"[\w-]{22}"$/);
  });

  it('refuses foreign names on loopback, so that no foreign page can read the API through a browser', async () => {
    const { url } = await start();
    const port = new URL(url).port;
    const answer = (host: string): Promise<string> =>
      raw(url, `GET /api/v1/status HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
    for (const host of [
      'evil.example',
      `evil.example:${port}`,
      '127.0.0.1.evil.example',
      'localhost.evil.example',
      '127.0.0.1@evil.example',
      '',
    ]) {
      expect(await answer(host)).toMatch(/^HTTP\/1\.1 421 /);
    }
    for (const host of [`127.0.0.1:${port}`, 'localhost', `LOCALHOST:${port}`, '[::1]:80']) {
      expect(await answer(host)).toMatch(/^HTTP\/1\.1 200 /);
    }
  });

  it('answers to any name when it listens on the network', async () => {
    const { url } = await start({}, '0.0.0.0');
    const answer = await raw(
      url,
      'GET /healthz HTTP/1.1\r\nHost: gateway.plant.example\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 200 /);
  });

  it('takes no body, not even with GET', async () => {
    const { url } = await start();
    const host = new URL(url).host;
    const sized = await raw(url, `GET /healthz HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 5\r\n\r\nhello`);
    const chunked = await raw(
      url,
      `GET /healthz HTTP/1.1\r\nHost: ${host}\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n`,
    );
    for (const answer of [sized, chunked]) expect(answer).toMatch(/^HTTP\/1\.1 413 [\s\S]*body_not_allowed/);
  });

  it('answers what is not HTTP with the same headers and closes', async () => {
    const { url } = await start();
    const answer = await raw(url, '\x10\x0c\x00\x04MQTT\x04\x02\x00<\x00\x00\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 400 [\s\S]*default-src 'none'[\s\S]*"bad_request"/);
    const long = await raw(url, `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`);
    expect(long).toMatch(/^HTTP\/1\.1 4\d\d /);
  });

  it('cuts off a request that never ends', async () => {
    const { url } = await start();
    const started = performance.now();
    await raw(url, 'GET /healthz HTTP/1.1\r\nHost: lo');
    expect(performance.now() - started).toBeLessThan(9_000);
  }, 20_000);

  it('holds at most 64 connections and serves again when they are gone', async () => {
    const { url } = await start();
    const { hostname, port } = new URL(url);
    const sockets = await Promise.all(
      Array.from(
        { length: 64 },
        () =>
          new Promise<ReturnType<typeof connect>>((resolve) => {
            const socket = connect(Number(port), hostname, () => resolve(socket));
            socket.on('error', () => {});
          }),
      ),
    );
    // A dropped connection ends without a byte, by FIN or by reset.
    const refused = await raw(
      url,
      `GET /healthz HTTP/1.1\r\nHost: ${hostname}\r\nConnection: close\r\n\r\n`,
    ).catch(() => '');
    expect(refused).toBe('');
    for (const socket of sockets) socket.destroy();
    await expect.poll(async () => (await fetch(`${url}/healthz`).catch(() => null))?.status).toBe(200);
  });
});

describe('life', () => {
  it('says which port is taken', async () => {
    const { url } = await start();
    const port = Number(new URL(url).port);
    const second = createHttpServer({
      config: { enabled: true, host: '127.0.0.1', port },
      status: () => plantStatus(AT),
      metricsText: async () => '',
      health: () => ({ live: true, ready: true, reasons: [] }),
      logger: SILENT,
    });
    await expect(second.start()).rejects.toMatchObject({
      code: 'MW_HTTP_LISTEN',
      message: expect.stringContaining(`127.0.0.1:${port}`),
    });
    await second.stop();
  });

  it('stops at once, open connections or not', async () => {
    const { url, server } = await start();
    const { hostname, port } = new URL(url);
    const socket = connect(Number(port), hostname);
    const closed = new Promise((resolve) => socket.on('close', resolve));
    socket.on('error', () => {});
    await (await fetch(`${url}/healthz`)).text();
    const started = performance.now();
    await server.stop();
    await closed;
    expect(performance.now() - started).toBeLessThan(1_000);
    await expect(fetch(`${url}/healthz`)).rejects.toThrow();
  });
});
