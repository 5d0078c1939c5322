/**
 * Shows how loud a track is, as a number from 0 to 1 about 15 times a second.
 * @param {MediaStreamTrack} track @param {(level: number) => void} use
 * @returns {() => void} stops it
 */
export function watchLoudness(track, use) {
  const context = new AudioContext();
  const analyser = new AnalyserNode(context, { fftSize: 512 });
  context.createMediaStreamSource(new MediaStream([track])).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  const timer = setInterval(() => {
    analyser.getFloatTimeDomainData(samples);
    const power = samples.reduce((sum, each) => sum + each * each, 0) / samples.length;
    use(Math.min(1, Math.sqrt(power) * 5));
  }, 66);
  return () => {
    clearInterval(timer);
    use(0);
    context.close();
  };
}

/** Two soft notes: somebody waits. Silent where the browser does not allow sound yet. */
export function chime() {
  const context = new AudioContext();
  if (context.state === "suspended") return context.close();
  const volume = new GainNode(context, { gain: 0 });
  volume.connect(context.destination);
  [660, 880].forEach((frequency, n) => {
    const start = context.currentTime + n * 0.16;
    const note = new OscillatorNode(context, { frequency });
    note.connect(volume);
    volume.gain.setTargetAtTime(0.08, start, 0.01);
    volume.gain.setTargetAtTime(0, start + 0.08, 0.06);
    note.start(start);
    note.stop(start + 0.5);
  });
  setTimeout(() => context.close(), 1200);
}
