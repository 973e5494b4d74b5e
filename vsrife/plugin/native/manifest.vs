[VapourSynth Manifest V1]
rife
