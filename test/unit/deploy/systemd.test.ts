import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const unitFile = new URL('../../../deploy/systemd/millwright.service', import.meta.url);
const unit = readFileSync(unitFile, 'utf8');
const directive = (name: string) =>
  [...unit.matchAll(new RegExp(`^${name}=(.*)$`, 'gm'))].map(([, value]) => value);

const available = spawnSync('systemd-analyze', ['--version']).status === 0;
if (!available) console.log('systemd-analyze not found: the systemd unit is not verified');

describe('the systemd unit', () => {
  it.skipIf(!available)('is one that systemd understands completely', () => {
    const folder = mkdtempSync(join(tmpdir(), 'millwright-unit-'));
    const path = join(folder, 'millwright.service');
    // The paths of an installed gateway, replaced by what exists here.
    const node = unit.replace('/usr/bin/node', process.execPath).replace(/^Documentation=.*$/m, '');
    writeFileSync(path, node);
    const { status, stderr } = spawnSync('systemd-analyze', ['verify', path], { encoding: 'utf8' });
    rmSync(folder, { recursive: true });
    expect(stderr.split('\n').filter((line) => line.includes('millwright'))).toEqual([]);
    expect(status).toBe(0);
  });

  it.skipIf(!available)('exposes no more than 1.5 of 10 in the eyes of systemd', () => {
    const { status, stdout } = spawnSync(
      'systemd-analyze',
      ['security', '--offline=true', '--threshold=15', '--no-pager', unitFile.pathname],
      { encoding: 'utf8' },
    );
    expect(stdout).toContain('Overall exposure level');
    expect(status).toBe(0);
  });

  it('tells systemd what the gateway does: ready, alive, stopping', () => {
    expect(directive('Type')).toEqual(['notify']);
    expect(directive('NotifyAccess')).toEqual(['all']);
    expect(directive('WatchdogSec')).toEqual(['30']);
  });

  it('restarts after anything but a mistake of a person', () => {
    expect(directive('Restart')).toEqual(['always']);
    expect(directive('RestartPreventExitStatus')).toEqual(['64 78']);
    expect(directive('StartLimitIntervalSec')).toEqual(['0']);
  });

  it('leaves the compiler of V8 and the processor probe of the model runtime alone', () => {
    expect(directive('MemoryDenyWriteExecute')).toEqual([]);
    expect(directive('ProcSubset')).toEqual([]);
  });
});
