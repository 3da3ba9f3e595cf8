// Preloaded into a process: its wall clock jumps by a day, forth and back and further back, at every twentieth look.
// Monotonic time is left alone.
const DAY_MS = 86_400_000;
const offsets = [0, DAY_MS, 0, -DAY_MS];
const { now } = Date;
let looks = 0;
Date.now = () => now() + offsets[Math.floor(looks++ / 20) % offsets.length]!;
