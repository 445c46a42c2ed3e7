/** The page in a real browser: what an operator sees, and what a hostile machine name cannot do. */

import { existsSync } from 'node:fs';
import { type Browser, type BrowserContextOptions, chromium, type Page } from 'playwright-core';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { GatewayStatus } from '../../src/domain/gateway-status.ts';
import { createHttpServer, type HttpServer } from '../../src/http/server.ts';
import { SILENT } from '../../src/telemetry/logger.ts';
import {
  injectScript,
  isPwned,
  longestTask,
  lowContrast,
  resourceOrigins,
  sidewaysScroll,
} from '../support/in-browser.js';
import { machineStatus, plantStatus } from '../support/plant-status.ts';

const CHROMIUM = process.env['MILLWRIGHT_CHROMIUM'] ?? '/usr/bin/chromium';
const present = existsSync(CHROMIUM);
if (!present)
  console.log('skipped: tests of the page need Chromium (apt-get install chromium, or MILLWRIGHT_CHROMIUM)');

const HOSTILE = [
  '<img src=x onerror="window.pwned=1">',
  '"><script>window.pwned=1</script>',
  "javascript:window.pwned=1//'",
  '{{constructor.constructor("window.pwned=1")()}}',
  '\u202Egnp.exe',
];

describe.skipIf(!present)('the page', () => {
  let browser: Browser;
  let server: HttpServer;
  let url = '';
  let status: () => GatewayStatus = () => plantStatus(Date.now());

  const build = (port: number): HttpServer =>
    createHttpServer({
      config: { enabled: true, host: '127.0.0.1', port },
      status: () => status(),
      metricsText: async () => '',
      health: () => ({ live: true, ready: true, reasons: [] }),
      logger: SILENT,
    });

  beforeAll(async () => {
    server = build(0);
    url = await server.start();
    browser = await chromium.launch({
      executablePath: CHROMIUM,
      args: [
        '--no-sandbox',
        '--disable-gpu',
        '--disable-background-networking',
        '--disable-component-update',
        '--no-first-run',
      ],
    });
  });

  afterAll(async () => {
    await browser?.close();
    await server?.stop();
  });

  /** Opens the page, runs `look`, and fails on any other error that the browser reported meanwhile. */
  async function onPage(
    show: () => GatewayStatus,
    options: BrowserContextOptions,
    look: (page: Page) => Promise<void>,
    expectedFaults: readonly string[] = [],
  ): Promise<void> {
    status = show;
    const context = await browser.newContext(options);
    const page = await context.newPage();
    const faults: string[] = [];
    page.on('pageerror', (error) => faults.push(error.message));
    page.on('console', (message) => {
      if (message.type() === 'error' && !message.text().includes('ERR_CONNECTION'))
        faults.push(message.text());
    });
    try {
      await page.goto(url);
      await page.waitForSelector('.card, #none:not([hidden])');
      await look(page);
      expect(faults).toEqual(expectedFaults);
    } finally {
      await context.close();
    }
  }

  const texts = (page: Page, selector: string): Promise<string[]> => page.locator(selector).allInnerTexts();

  it('shows every machine, worst first, with state as word and shape', async () => {
    await onPage(
      () => plantStatus(Date.now()),
      {},
      async (page) => {
        expect(await texts(page, '.card h3')).toEqual([
          'pump-01',
          'engine-07',
          'valve-11',
          'motor-02',
          'fan-01',
        ]);
        expect(await texts(page, '.card .state')).toEqual([
          'Alarm',
          'Warning',
          'Unknown',
          'Learning',
          'Healthy',
        ]);
        const shapes = await page
          .locator('.card .shape')
          .evaluateAll((icons) => icons.map((icon) => icon.innerHTML));
        expect(new Set(shapes).size).toBe(5);
        const pump = page.locator('.card').first();
        const text = await pump.innerText();
        expect(text).toContain('Outer-race defect likely');
        expect(text).toContain('7.5 of 4.1');
        expect(text).toMatch(
          /vibration\.env_snr\.bpfo far above its normal \(z \+14\.2\), 61 % of the score/,
        );
        expect(text).toMatch(/window ended \d s ago/);
        expect(await page.locator('.card').nth(1).innerText()).toMatch(
          /41 cycles[\s\S]*29 to 58 cycles with 90 % confidence/,
        );
        expect(await page.title()).toBe('(1) line-3 · Millwright');
      },
    );
  });

  it('shows the health of the gateway and what to do about a sink that is down', async () => {
    await onPage(
      () => plantStatus(Date.now()),
      {},
      async (page) => {
        const header = await page.locator('header').innerText();
        expect(header).toContain('Ready');
        expect(header).toContain('18\u2009240 waiting');
        expect(header).toContain(
          'connect ECONNREFUSED 10.0.0.7:8086. Is InfluxDB running and reachable from here?',
        );
      },
    );
  });

  it('follows the gateway: a new state moves the card and is said once to a screen reader', async () => {
    let state: 'healthy' | 'alarm' = 'healthy';
    const show = (): GatewayStatus => {
      const at = Date.now();
      const advice = state === 'alarm' ? 'Stop the fan.' : '';
      return plantStatus(at, {
        machines: [machineStatus(at, { machine: 'a' }), machineStatus(at, { machine: 'b', state, advice })],
      });
    };
    await onPage(show, {}, async (page) => {
      expect(await texts(page, '.card h3')).toEqual(['a', 'b']);
      await page.locator('.card', { hasText: 'b' }).last().locator('summary').focus();
      state = 'alarm';
      await expect.poll(() => texts(page, '.card h3'), { timeout: 5_000 }).toEqual(['b', 'a']);
      expect(await page.locator('#announcer').textContent()).toBe('b: Alarm. Stop the fan.');
    });
  });

  it('shows a machine that has not spoken since the start as it was, and says so', async () => {
    const show = (): GatewayStatus => {
      const at = Date.now();
      const lastWindow = { startMs: at - 910_000, endMs: at - 900_000, coverage: null, quality: null };
      const unknown = { healthIndex: null, anomaly: null, features: [], scoreState: 'none' } as const;
      const silent = { ...unknown, lastWindow, reason: 'no_window_yet' };
      const machines = [
        machineStatus(at, { ...silent, machine: 'a', state: 'alarm', advice: 'Inspect the outer race.' }),
        machineStatus(at, { ...silent, machine: 'b', state: 'healthy', advice: '' }),
      ];
      return plantStatus(at, { machines });
    };
    await onPage(show, {}, async (page) => {
      const [pump, fan] = await texts(page, '.card');
      expect(pump).toMatch(/silent: window ended 15 min ago[\s\S]*before the last start/);
      expect(pump).toContain('Inspect the outer race.');
      expect(fan).toContain('No window since the gateway started; this is how it was before.');
    });
  });

  it('shows hostile names as text and runs nothing of them', async () => {
    const show = (): GatewayStatus => {
      const at = Date.now();
      const plant = plantStatus(at, { gateway: HOSTILE[0]!, reasons: HOSTILE });
      const machines = HOSTILE.map((name) =>
        machineStatus(at, {
          machine: name,
          machineClass: name,
          advice: name,
          state: 'alarm',
          reason: name,
          features: [{ id: name, unit: name, value: 1 }],
          anomaly: { ...plant.machines[0]!.anomaly!, contributions: [{ featureId: name, z: 9, share: 1 }] },
        }),
      );
      const alarms = HOSTILE.map((name) => ({
        ...plant.alarms[0]!,
        machine: name,
        message: name,
        condition: name,
      }));
      return { ...plant, machines, alarms };
    };
    await onPage(show, {}, async (page) => {
      expect((await texts(page, '.card h3')).sort()).toEqual([...HOSTILE].sort());
      await page.locator('summary').first().click();
      await page.waitForTimeout(1_500);
      expect(await page.evaluate(isPwned)).toBe(false);
      expect(await page.locator('main img, main script, header script').count()).toBe(0);
    });
  });

  it('loads nothing from elsewhere and lets no text become a script', async () => {
    const refusal = "This document requires 'TrustedScript' assignment. The action has been blocked.";
    await onPage(
      () => plantStatus(Date.now()),
      {},
      async (page) => {
        expect(await page.evaluate(injectScript)).toBe('refused');
        expect(new Set(await page.evaluate(resourceOrigins))).toEqual(new Set([url]));
      },
      [refusal],
    );
  });

  it('says that the gateway is gone, keeps the last picture, and goes on when it is back', async () => {
    await onPage(
      () => plantStatus(Date.now()),
      {},
      async (page) => {
        const port = Number(new URL(url).port);
        await server.stop();
        const lost = page.locator('#lost');
        await lost.waitFor({ state: 'visible', timeout: 8_000 });
        expect(await lost.innerText()).toMatch(
          /^No answer from the gateway for \d+ s\. What you see is from \d/,
        );
        expect(await page.locator('#readiness').innerText()).toBe('No answer');
        expect(await page.locator('.card').count()).toBe(5);
        server = build(port);
        await server.start();
        await lost.waitFor({ state: 'hidden', timeout: 8_000 });
        expect(await page.locator('#readiness').innerText()).toBe('Ready');
      },
    );
  });

  it('hides states on request, by keyboard', async () => {
    await onPage(
      () => plantStatus(Date.now()),
      {},
      async (page) => {
        const healthy = page.getByRole('button', { name: '1 healthy' });
        await healthy.focus();
        await page.keyboard.press('Space');
        expect(await healthy.getAttribute('aria-pressed')).toBe('false');
        expect(await texts(page, '.card h3')).not.toContain('fan-01');
      },
    );
  });

  it('opens all features of a machine and keeps them open', async () => {
    await onPage(
      () => plantStatus(Date.now()),
      {},
      async (page) => {
        const pump = page.locator('.card').first();
        await pump.locator('summary').click();
        await expect.poll(() => pump.locator('details dt').count()).toBe(8);
        await page.waitForTimeout(1_500);
        expect(await pump.locator('details').getAttribute('open')).not.toBeNull();
      },
    );
  });

  it.each([
    [360, 'light'],
    [360, 'dark'],
    [1440, 'light'],
    [2560, 'dark'],
  ] as const)(
    'fits a screen %i px wide in %s colours, with readable contrast',
    async (width, colorScheme) => {
      await onPage(
        () => plantStatus(Date.now()),
        { viewport: { width, height: 900 }, colorScheme },
        async (page) => {
          expect(await page.evaluate(sidewaysScroll)).toBeLessThanOrEqual(0);
          expect(await page.evaluate(lowContrast)).toEqual([]);
        },
      );
    },
  );

  it('stays quick with 300 machines', async () => {
    const show = (): GatewayStatus => {
      const at = Date.now();
      const machines = Array.from({ length: 300 }, (_, i) => machineStatus(at, { machine: `fan-${i}` }));
      return plantStatus(at, { machines });
    };
    await onPage(show, {}, async (page) => {
      await expect.poll(() => page.locator('.card').count()).toBe(300);
      const longest = await page.evaluate(longestTask);
      expect(longest).toBeLessThan(400);
    });
  });

  it('tells where to connect when no machine has been seen', async () => {
    await onPage(
      () => plantStatus(Date.now(), { machines: [], alarms: [], models: [] }),
      {},
      async (page) => {
        expect(await page.locator('#none').innerText()).toBe(
          'No machine has sent anything yet. Sensors connect to mqtt://127.0.0.1:1883.',
        );
      },
    );
  });
});
